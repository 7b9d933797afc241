"""Check that README.md and README_zh.md agree: the same commands, pictures and numbers, and links to each other"""
import re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r'^```(\w*)\n(.*?)^```', re.M | re.S)


def parts(name: str) -> tuple:
    "Blocks of code, pictures, and numbers of at least two digits outside of both"
    text = (ROOT/name).read_text(encoding='utf-8')
    prose = re.sub(r'\]\([^)]*\)', ']', BLOCK.sub('', text)) # without addresses
    numbers = sorted({n for n in re.findall(r'\d+(?:[. ]\d+)*', prose) if len(n) > 1})
    blocks = [(language, re.sub(r' *#.*', '', code)) for language, code in BLOCK.findall(text)]
    return blocks, re.findall(r'!\[[^\]]*\]\(([^)]*)\)', text), numbers


if __name__ == '__main__':
    english, chinese = parts('README.md'), parts('README_zh.md')
    faults = []
    for what, a, b in zip(('commands', 'pictures', 'numbers'), english, chinese):
        only = [[x for x in one if x not in other] for one, other in ((a, b), (b, a))]
        if only[0] or only[1]: faults.append(f'{what} only in README.md: {only[0]}; only in README_zh.md: {only[1]}')
        elif what == 'commands' and a != b: faults.append('commands stand in another order')
    for name, other in (('README.md', 'README_zh.md'), ('README_zh.md', 'README.md')):
        if f']({other})' not in (ROOT/name).read_text(encoding='utf-8')[:600]:
            faults.append(f'{name} has no link to {other} at its top')
    print('\n'.join(faults) or 'both READMEs agree')
    sys.exit(bool(faults))

"""Check that nbdev_test ran every notebook, and print how many cells it ran: `python .ci/count.py LOG`

nbdev_test exits with 0 also where it found nothing to do, so its word alone is not enough. LOG is what
`nbdev_test --timing` printed.
"""
import json, re, sys
from pathlib import Path

NBS = Path(__file__).resolve().parent.parent/'nbs'
SKIP = re.compile(r'^\s*#\s*\|\s*(slow|cuda|eval:\s*false)\s*$', re.M)
log, total = Path(sys.argv[1]).read_text(encoding='utf-8'), 0
for path in sorted(NBS.glob('*.ipynb')):
    nb = json.loads(path.read_text(encoding='utf-8'))
    cells = [''.join(c['source']) for c in nb['cells']]
    code = [s for c,s in zip(nb['cells'], cells) if c['cell_type'] == 'code' and s.strip()]
    run = [s for s in code if not SKIP.search(s) and 'nbdev_export(' not in s] # nbdev_test never runs an export
    if nb['metadata']['kernelspec']['language'] != 'python':
        sys.exit(f'{path.name}: the kernel is not python, so nothing of it runs')
    if any(re.search(r'^\W*skip_exec:\s*(true|t|yes|y|on|1)\s*$', s, re.M | re.I) for s in cells):
        sys.exit(f'{path.name}: skip_exec is set, so nothing of it runs')
    if not re.search(rf'^{re.escape(path.name)}: \d+ secs', log, re.M):
        sys.exit(f'{path.name}: nbdev_test did not run it')
    if not run: sys.exit(f'{path.name}: no cell runs')
    print(f'{path.name:28}{len(run):4} of {len(code)} code cells ran')
    total += len(run)
if (NBS/'.notest').exists(): sys.exit('nbs/.notest is there, so nothing ran')
print(f'{total} cells ran')

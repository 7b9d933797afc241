"""Check the house: `python .ci/house.py` lists what breaks its limits, and fails if anything does.

* A notebook has at most 110 cells and 500 KB; a module at most 500 lines; a line of code at most 120 characters.
* No name is exported by two modules.
* Imports go one way. Chapters import chapters of lower numbers and the machine room; the machine room imports `data`
  and what stands above it in the sidebar; `data` stands on `store` alone, and `store` on nothing of ours.
* Each page opens with a title and a promise, and is in the sidebar; each that one would run links to itself on Colab
  and installs the package there. Each room is in the tables of both READMEs, and in llms.txt.
"""
import ast, configparser, json, re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELLS, KILOBYTES, LINES, WIDTH = 110, 500, 500, 120
PACKAGE = [p for p in sorted((ROOT/'anime_vq_nb').glob('*.py')) if p.name[:2] not in ('__', '_m')]
NOTEBOOKS = sorted((ROOT/'nbs').glob('*.ipynb'))
READ_ONLY = 'index.ipynb', 'contributing.ipynb' # nobody goes to Colab for these
SIDEBAR = (ROOT/'_quarto.yml').read_text(encoding='utf-8')
COLAB = re.compile(r'\]\(https://colab\.research\.google\.com/github/([^)]*)\)')


def source(cell) -> str: return ''.join(cell['source'])


def room(path: Path):
    "Number of a notebook's room; None for a page without one"
    return int(path.name[:2]) if path.name[:2].isdigit() else None


def exported(path: Path) -> str:
    "Module that a notebook exports, or an empty string"
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    return next((m[1] for c in cells if (m := re.search(r'^#\| *default_exp +(\w+)', source(c), re.M))), '')


def colab_faults(path: Path, cells: list) -> list:
    "Whether a page can be opened on Colab from its top, and installs the package there"
    settings = configparser.ConfigParser()
    settings.read(ROOT/'settings.ini', encoding='utf-8')
    cfg, top = settings['DEFAULT'], cells[1:4]
    want = f"{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/nbs/{path.name}"
    links = [link for c in top if c['cell_type'] == 'markdown' for link in COLAB.findall(source(c))]
    faults = [] if links == [want] else [f'links to {links} on Colab at its top, not to {want}']
    install = [source(c) for c in top if f"git+{cfg['git_url']}" in source(c)]
    if not install or not install[0].startswith('#| hide\n#| eval: false\n'):
        faults.append('has no hidden cell at its top that installs the package on Colab')
    return faults


def listed(path: Path) -> list:
    "Lists of the rooms in which a room is missing"
    page = path.stem[3:]
    lists = {'nbs/index.ipynb': f']({path.name})', 'README_zh.md': f'](nbs/{path.name})'}
    lists['nbs/llms.txt'] = f'/{page}.html)'
    return [f'is not in {f}' for f, link in lists.items() if link not in (ROOT/f).read_text(encoding='utf-8')]


def notebook_faults(path: Path) -> list:
    "What is too much in a notebook, or missing"
    cells, faults = json.loads(path.read_text(encoding='utf-8'))['cells'], []
    if len(cells) > CELLS: faults.append(f'{len(cells)} cells, more than {CELLS}')
    if (kb := path.stat().st_size/1000) > KILOBYTES: faults.append(f'{kb:.0f} KB, more than {KILOBYTES}')
    if not re.match(r'# .+\n\n> .+', source(cells[0])): faults.append('does not open with a title and a promise')
    if path.name not in SIDEBAR: faults.append('is not in the sidebar')
    if path.name not in READ_ONLY: faults += colab_faults(path, cells)
    if room(path) is not None: faults += listed(path)
    ids = [c['id'] for c in cells]
    faults += [f'two cells have the id {i}' for i in sorted({i for i in ids if ids.count(i) > 1})]
    for c in cells:
        if c['cell_type'] != 'code': continue
        long = [line for line in source(c).splitlines() if len(line) > WIDTH]
        faults += [f"cell {c['id']}: a line of {len(line)} characters: {line.strip()[:60]} …" for line in long]
    return faults


def code_faults(path: Path) -> list:
    "What is too long in a file"
    lines = path.read_text(encoding='utf-8').splitlines()
    if path in PACKAGE: # its lines are those of the notebooks' cells
        return [f'{len(lines)} lines, more than {LINES}'] if len(lines) > LINES else []
    return [f'line {i}: {len(line)} characters' for i, line in enumerate(lines, 1) if len(line) > WIDTH]


def names(path: Path) -> set:
    "What a module exports"
    tree = ast.parse(path.read_text(encoding='utf-8'))
    lists = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == '__all__']
    return {e.value for v in lists for e in v.elts}


def twice() -> list:
    "Names that two modules export"
    owners = {}
    for p in PACKAGE:
        for n in names(p): owners.setdefault(n, []).append(p.stem)
    return [f"{n} is exported by {' and '.join(ms)}" for n, ms in sorted(owners.items()) if len(ms) > 1]


def machine_room() -> list:
    "Numbers of the rooms in the sidebar's section of that name, in its order"
    section = SIDEBAR.partition('- section: Machine room\n')[2].partition('- section:')[0]
    return [int(n) for n in re.findall(r'- (\d\d)_', section)]


def may_import(here: int, there: int) -> bool:
    "Whether room `here` may import room `there`"
    store, machines = 16, machine_room()
    if here in (0, store): return here == 0 and there == store
    if here not in machines: return there < here or there in machines
    return there == 0 or there in machines[:machines.index(here)]


def directions() -> list:
    "Imports that go the wrong way"
    rooms, faults = {m: room(p) for p in NOTEBOOKS if (m := exported(p))}, []
    for p in PACKAGE:
        if p.stem not in rooms:
            faults.append(f'{p.name} comes from no notebook')
            continue
        tree = ast.parse(p.read_text(encoding='utf-8'))
        froms = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
        used = {n.module for n in froms if n.level == 1} # nbdev leaves imports of several lines absolute
        used |= {n.module.split('.')[1] for n in froms if n.level == 0 and n.module.startswith('anime_vq_nb.')}
        faults += [f'{p.stem} imports {m}' for m in sorted(used) if not may_import(rooms[p.stem], rooms[m])]
    return faults


if __name__ == '__main__':
    found = [f'{p.name}: {f}' for p in NOTEBOOKS for f in notebook_faults(p)]
    scripts = [p for d in ('benchmarks', '.ci') for p in sorted((ROOT/d).glob('*.py'))]
    found += [f'{p.relative_to(ROOT)}: {f}' for p in PACKAGE + scripts for f in code_faults(p)]
    found += twice() + directions()
    print('\n'.join(found) or f'{len(NOTEBOOKS)} notebooks and {len(PACKAGE)} modules keep to the house')
    sys.exit(bool(found))

"""Run notebooks and save their outputs in them: `python .ci/outputs.py [nbs/00_data.ipynb …] [--slow] [--cuda]`

Each notebook runs in a process of its own, in the folder nbs/. Cells that nbdev_test skips (`#| slow`, `#| cuda`,
`#| eval: false`, calls of nbdev_export) keep the outputs they have; `--slow` and `--cuda` run those, too. Nothing is
saved of a notebook that fails.
"""
import argparse, base64, io, os, re, subprocess, sys, tempfile
from pathlib import Path

NBS = Path(__file__).resolve().parent.parent/'nbs'
FLAGS = re.compile(r'^\s*#\s*\|\s*(slow|cuda|eval:\s*false)\s*$', re.M)
# what belongs to one machine or one moment, and not into a saved output
PLACES = '|'.join(re.escape(str(p)) for p in (NBS.parent, Path.home(), tempfile.gettempdir(), sys.prefix))
PRIVATE = re.compile(rf'(?:{PLACES})\b|Traceback \(most recent call last\)|\w+Warning: |it/s\b')


def palette(png: str) -> str:
    "The picture in 256 colours, in base64, where that makes it smaller: a third of the size, and looks the same"
    from PIL import Image
    small, im = io.BytesIO(), Image.open(io.BytesIO(base64.b64decode(png))).convert('RGB')
    im.quantize(256, dither=Image.Dither.NONE).save(small, 'PNG', optimize=True)
    return min(png, base64.b64encode(small.getvalue()).decode(), key=len)


def text(out) -> str:
    "All text of an output"
    parts = [out.get('text', ''), *(v for k,v in out.get('data', {}).items() if k.startswith('text/'))]
    return '\n'.join(p if isinstance(p, str) else ''.join(p) for p in parts)


def run_one(path: Path, also: set):
    "Run one notebook in this process, and save it"
    from execnb.nbio import read_nb, write_nb
    from execnb.shell import CaptureShell
    from nbdev.clean import clean_nb
    os.environ['IN_TEST'] = '1' # as nbdev_test does
    os.chdir(NBS)
    nb, shell = read_nb(path), CaptureShell(path='.')
    one_for_one = "from matplotlib_inline.backend_inline import set_matplotlib_formats as f; f('png'); del f"
    shell.run(one_for_one) # a pixel is a pixel, so pictures are small
    for i,cell in enumerate(nb.cells):
        if cell.cell_type != 'code': continue
        flags = {m.split(':')[0] for m in FLAGS.findall(cell.source)}
        if flags - also or 'nbdev_export(' in cell.source: continue
        outs = shell.run(cell.source) or []
        if shell.exc: sys.exit(f'{path.name}, cell {i}: {type(shell.exc).__name__}: {shell.exc}\n{cell.source}')
        cell.outputs = [o for o in outs if o.get('name') != 'stderr']
        for o in cell.outputs:
            if 'image/png' in (data := o.get('data', {})):
                data.pop('image/jpeg', None) # a PIL image comes as both
                data.pop('application/vnd.jupyter.widget-view+json', None) # a page has no kernel; it has the picture
                data['image/png'] = palette(''.join(data['image/png']))
            if bad := PRIVATE.search(text(o)):
                sys.exit(f'{path.name}, cell {i}: {bad.group()!r} must not stand in a saved output\n{cell.source}')
    clean_nb(nb)
    write_nb(nb, path)
    print(f'{path.name}: saved')


if __name__ == '__main__':
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('notebooks', nargs='*', type=Path)
    ap.add_argument('--slow', action='store_true', help='run cells marked slow, too')
    ap.add_argument('--cuda', action='store_true', help='run cells marked cuda, too')
    ap.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
    a = ap.parse_args()
    nbs = [p.resolve() for p in a.notebooks] or sorted(NBS.glob('*.ipynb'))
    also = [f for f in ('slow', 'cuda') if getattr(a, f)]
    if a.here: run_one(nbs[0], set(also))
    else:
        run = lambda p: subprocess.run([sys.executable, __file__, '--here', str(p), *('--' + f for f in also)])
        failed = [p.name for p in nbs if run(p).returncode]
        if failed: sys.exit(f"failed, not saved: {', '.join(failed)}")

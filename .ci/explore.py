"""Use the widgets in a real JupyterLab, as a person does: `python .ci/explore.py [--shots FOLDER] [--chromium FILE]`

Starts JupyterLab on a notebook of its own in a temporary folder, opens it in a headless Chromium, and there: paints
with the mouse and the keys, undoes, lets Python say what it sees, paints from Python, erases and fills, looks at two
views and two widgets at once, walks from face to face, and browses the codebook. Under two minutes on two cores. Says
what it saw, a line each; the first thing that is not so is the last line, with exit code 1.

Needs the package with its extra `dev` and a Chromium (Debian's package `chromium`; Chrome will do). No network. FOLDER
gets screenshots, to be looked at.
"""
import ast, json, tempfile, time
from contextlib import ExitStack
from pathlib import Path

from lab import PANEL, Browser, Notebook, check, plain, read_args, start_lab, stills, wait, write_book

CELLS = dict(
    imports="""import numpy as np
from anime_vq_nb.data import demo_avatar, demo_store, demo_style
from anime_vq_nb.decoder import VQVAE
from anime_vq_nb.explore import browse, paint, picture_of, walk
from anime_vq_nb.prior import MaskedPrior
model, prior = VQVAE.from_pretrained('demo').eval(), MaskedPrior.from_pretrained('demo').eval()
face, other = (demo_avatar(demo_style(s)[0], n, 64) for s,n in (('micah', 'Hana'), ('toon-head', 'Rin')))""",
    paint='p = paint(model, face, prior=prior)\np',
    sees="print(p.codes.tolist(), np.array_equal(p.picture, picture_of(model, p.codes)), sep='\\n')",
    python='codes = p.codes.copy()\ncodes[0] = 7\np.codes = codes',
    picture='p.picture = other',
    busy="""import time
took = []
p.observe(took.append, 'codes')
with p.lock: time.sleep(7)""", # for newer kernels hear the page while a cell runs
    took='p.unobserve_all("codes")\nprint(len(took))',
    again='p',
    alone='q = paint(model, other)\nq',
    walk='way = walk(model, face, other)\nway',
    given='print(p.given == face)',
    at='print(way.at.value, way.codes is not None)',
    browse="seen = browse(model, demo_store('faces', 60, 64, seed=3))\nseen",
    code='print(seen.code, seen.order[1])')


class Painter:
    "A widget on the page"
    def __init__(self, nb: Notebook, name: str):
        self.nb, self.browser, self.name = nb, nb.browser, name
        self.view = f"{nb.all(name, '.painter')}[0].parentElement.painter"
        wait(f'the widget of the cell {name}', lambda: self.browser.js(f"!!{nb.all(name, '.painter')}[0]"))
        self.browser.js(f'{self.view}.ready')
        self.side, self.k = (self.js(f'easel.{n}') for n in ('side', 'k'))

    def js(self, what: str): return self.browser.js(f'{self.view}.{what}')

    def part(self, name: str) -> str: return f"{self.view}.root.querySelector('{name}')"

    def codes(self) -> list:
        "What the mosaic shows, when nothing is left to be said"
        left = 't !== v.turn || v.wanted !== v.sent || v.filling'
        rest = f'(async v => {{ let t; do {{ t = v.turn; await t }} while ({left}) }})({self.view})'
        late = "new Promise((_, no) => setTimeout(() => no('Python does not answer'), 30000))"
        self.browser.js(f'Promise.race([{rest}, {late}])')
        return self.js('easel.mosaic.codes.join().split(",").map(Number)')

    def drag(self, *places: int):
        "Paint with the mouse"
        canvas = self.part('.mosaic')
        self.browser.js(f"{canvas}.scrollIntoView({{block: 'nearest'}})")
        x, y, w = self.browser.js(f'(r => [r.x, r.y, r.width])({canvas}.getBoundingClientRect())')
        at = [dict(x=x + (p % self.side + .5)*w/self.side, y=y + (p//self.side + .5)*w/self.side) for p in places]
        def mouse(kind, place, **kw): self.browser('Input.dispatchMouseEvent', type=kind, button='left', **place, **kw)
        mouse('mousePressed', at[0], clickCount=1)
        for place in at[1:]: mouse('mouseMoved', place, buttons=1)
        mouse('mouseReleased', at[-1], clickCount=1)

    def press(self, name: str): self.browser.click(self.part(name))

    def said(self) -> str: return self.browser.js(f"(e => e.hidden ? '' : e.textContent)({self.part('.said')})")

    def given(self) -> list: return self.pixels('.given')

    def pixels(self, name='.picture') -> list:
        "Of a picture on the page"
        canvas = self.part(name)
        self.browser.js('new Promise(done => setTimeout(done, 300))')
        return self.browser.js(f"(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])({canvas})")


def python_sees(nb: Notebook) -> list:
    "The codes that Python has, whose picture must be theirs"
    codes, equal = plain(nb.run('sees')).splitlines()
    check(equal == 'True', "Python's picture is not that of its codes")
    return [c for row in ast.literal_eval(codes) for c in row]


def check_paint(nb: Notebook, p: Painter):
    "What the mouse paints, Python has; undo takes it back; keys are the widget's, and not JupyterLab's"
    before, cells, pixels = p.codes(), nb.browser.js(f'{PANEL}.content.widgets.length'), p.pixels()
    code = next(c for c in range(p.k) if c not in before)
    p.js(f'easel.choose({code})')
    places = [3*p.side + x for x in range(4, 9)] + [4*p.side + 8]
    p.drag(places[0], places[4], places[5]) # a fast hand leaves no gaps
    painted = p.codes()
    check([i for i in range(p.side**2) if painted[i] != before[i]] == places, 'the mouse painted elsewhere')
    check(python_sees(nb) == painted, 'Python does not see what was painted')
    check(p.pixels() != pixels, 'the picture did not change')
    nb.shot('painted', 'paint')
    nb.browser.js(f"{p.part('.mosaic')}.focus()")
    for key in 'ezba': nb.browser.key(key) # in JupyterLab, a and b make a new cell
    check(nb.browser.js(f'{PANEL}.content.widgets.length') == cells, 'a key reached JupyterLab')
    check(p.codes() == before and python_sees(nb) == before, 'undo does not take back what one stroke painted')
    check(p.js('easel.mosaic.tool') == 'paint', 'a key does not choose its tool')
    nb.browser.js(f"{p.part('.mosaic')}.focus()")
    for key in ('ArrowDown', 'ArrowRight', ' '): nb.browser.key(key)
    at = [i for i in range(p.side**2) if p.codes()[i] != before[i]]
    check(at == [(p.side//2 + 1)*p.side + p.side//2 + 1], 'the keys paint elsewhere', at)
    nb.browser.js('document.activeElement.blur()')
    nb.browser.key('e')
    check(p.js('easel.mosaic.tool') == 'paint', 'the widget took a key that was not meant for it')


def check_python(nb: Notebook, p: Painter):
    "What Python paints, the page shows, and undo knows"
    before = p.codes()
    nb.run('python')
    wait('the page to follow Python', lambda: p.codes()[:p.side] == [7]*p.side, 20)
    check(p.codes() == python_sees(nb), 'the page shows other codes than Python has')
    p.press('.undo')
    check(p.codes() == before == python_sees(nb), "undo does not take back what Python painted")
    nb.run('picture')
    wait('the page to show another face', lambda: p.codes() == python_sees(nb) != before, 20)
    given = p.given()
    p.press('.undo')
    check(p.codes() == before, 'undo does not bring the face back')
    check(p.given() != given, 'undo does not bring back the picture that was given')
    check(plain(nb.run('given')) == 'True\n', 'Python takes another picture for the one that was given')
    print('  Python and page agree')


def check_fill(nb: Notebook, p: Painter):
    "What was erased is filled, and the rest stays"
    before = p.codes()
    nb.browser.js(f"(b => {{ b.value = 3; b.dispatchEvent(new Event('input')) }})({p.part('.width')})")
    nb.browser.click(f"{p.part('[value=erase]')}.nextElementSibling")
    p.drag(*[y*p.side + x for y in (5, 8, 11) for x in (5, 10)])
    holes = p.codes()
    check(holes.count(p.k) > 30, f'the eraser left {holes.count(p.k)} holes')
    check(python_sees(nb) == holes, 'Python does not see the holes')
    nb.shot('erased', 'paint')
    p.press('.fill')
    filled = p.codes()
    check(p.k not in filled, 'holes are left')
    check(all(f == h for f,h in zip(filled, holes) if h < p.k), 'codes outside of the holes changed')
    check(python_sees(nb) == filled, 'Python does not see what was filled')
    check('filled in' in p.browser.js(f"{p.part('.speed')}.textContent"), 'the page does not say in how many steps')
    print(f'  {holes.count(p.k)} holes filled, {sum(a != b for a,b in zip(before, filled))} by other codes than before')
    nb.shot('filled', 'paint')
    p.press('.undo')
    check(p.codes() == holes, 'undo does not bring the holes back')
    p.press('.undo')
    check(p.codes() == before, 'undo does not bring the face back')
    nb.browser.click(f"{p.part('[value=paint]')}.nextElementSibling")
    nb.browser.js(f"(b => {{ b.value = 1; b.dispatchEvent(new Event('input')) }})({p.part('.width')})")


def check_two(nb: Notebook, p: Painter):
    "Two views of a widget show the same; two widgets leave each other alone"
    for name in ('again', 'alone'): nb.run(name)
    view, alone = Painter(nb, 'again'), Painter(nb, 'alone')
    check(view.codes() == p.codes(), 'a second view shows other codes')
    before, face = p.codes(), alone.codes()
    view.js('easel.choose(11)')
    view.drag(17, 20)
    wait('the first view to follow the second', lambda: p.codes() == view.codes(), 20)
    check(p.codes()[17:21] == [11]*4 == python_sees(nb)[17:21], 'the second view painted something else')
    check(alone.codes() == face, 'the other widget changed as well')
    check(not nb.browser.js(f"!!{alone.part('.fill')}"), 'without a prior there is a button to fill')
    alone.js('easel.choose(12)')
    alone.drag(17, 20)
    check(alone.codes()[17:21] == [12]*4 and p.codes()[17:21] == [11]*4, 'two widgets disturb each other')
    p.press('.undo')
    check(p.codes() == before == view.codes(), 'undo in one view does not reach the other')
    nb.shot('two views and another', 'again')


def check_busy(nb: Notebook, p: Painter):
    "While Python runs a cell, the hand paints on; afterwards Python decodes what came first and what came last"
    nb.start('busy')
    p.js('easel.choose(14)')
    for row in range(4): p.drag((12 + row)*p.side, (12 + row)*p.side + 3)
    wait('a word on the silent Python', lambda: 'not answered yet' in p.said(), 6)
    nb.end('busy')
    want = [14*(x < 4 and y > 11) or c for (y,x),c in zip(grid(p.side), p.codes())]
    check(p.codes() == want == python_sees(nb), 'Python does not have what was painted while it was busy')
    check(not p.said(), 'the page goes on waiting', p.said())
    took = int(plain(nb.run('took')))
    check(took <= 2, f'Python decoded {took} grids of those that were painted while it was busy')
    print(f'  {took} grids decoded of 16 that were painted while Python was busy')


def grid(side: int) -> list: return [(y, x) for y in range(side) for x in range(side)]


def check_refused(p: Painter):
    "A message that makes no sense is one line on the page, and the next one is taken again"
    before = p.codes()
    p.js("ask({ do: 'paint', codes: [1, 2, 3] })")
    check('no list of' in p.said(), 'nothing is said of a message that makes no sense', p.said())
    check(p.codes() == before, 'a message that makes no sense changed the face')
    p.js('easel.choose(13)')
    p.drag(0)
    check(p.codes()[0] == 13 and not p.said(), 'after a mistake nothing is taken any more', p.said())
    print('  a mistake is a line on the page')


def check_others(nb: Notebook):
    "Sliders and menus of the plain widgets"
    def images(name): return nb.browser.js(f"{nb.all(name, 'img')}.map(i => i.src).join()")
    for name in ('walk', 'browse'):
        check(stills(nb.run(name)) == 1, f'the cell {name} leaves no still picture')
        wait(f'the pictures of the cell {name}', lambda: images(name))
    nb.shot('walk', 'walk')
    seen = images('walk')
    nb.browser.js(f"{nb.all('walk', '.noUi-handle')}[0].focus()")
    nb.browser.key('ArrowRight')
    wait('the walk to go on', lambda: images('walk') != seen, 20)
    check(plain(nb.run('at')).split() == ['1', 'True'], 'Python does not know where the slider is')
    choose = "(m => {{ m.selectedIndex = {}; m.dispatchEvent(new Event('change', {{bubbles: true}})) }})({}[0])"
    nb.browser.js(choose.format(2, nb.all('walk', 'select')))
    wait('the walk between vectors', lambda: plain(nb.run('at')).split() == ['1', 'False'], 20)
    seen = images('browse')
    nb.browser.js(choose.format(1, nb.all('browse', 'select')))
    wait('another code', lambda: images('browse') != seen, 20)
    code, second = plain(nb.run('code')).split()
    check(code == second, 'Python does not know which code was chosen')
    nearest = nb.browser.js(f"{nb.all('browse', 'button')}[0].innerText")
    nb.browser.click(f"{nb.all('browse', 'button')}[0]")
    wait('the neighbour', lambda: plain(nb.run('code')).split()[0] == nearest, 20)
    nb.shot('browse', 'browse')


def check_looks(nb: Notebook):
    "By day and by night, wide and narrow"
    nb.command('application:toggle-left-area')
    for width in (1200, 830, 500):
        nb.browser('Emulation.setDeviceMetricsOverride', width=width, height=1250, deviceScaleFactor=1, mobile=False)
        for theme in ('Light', 'Dark'):
            how = f"{{theme: 'JupyterLab {theme}'}}"
            nb.browser.js(f"jupyterapp.commands.execute('apputils:change-theme', {how}).then(() => 1)")
            time.sleep(1)
            over = nb.browser.js(f"(e => e.scrollWidth - e.clientWidth)({nb.all('paint', '.painter')}[0])")
            check(over <= 0, f'at {width} pixels the widget is {over} pixels too wide')
            for name in ('paint', 'walk', 'browse'): nb.shot(f'{name} {width} {theme.lower()}', name)


def check_saved(nb: Notebook, file: Path):
    "What a saved notebook keeps is a picture"
    nb.command('docmanager:save')
    def saved(): return json.loads(file.read_text(encoding='utf-8'))['cells'][list(CELLS).index('browse')]['outputs']
    wait('the notebook to be saved', saved, 20)
    cells = json.loads(file.read_text(encoding='utf-8'))['cells']
    for name in ('paint', 'alone', 'walk', 'browse'):
        check(stills(cells[list(CELLS).index(name)]['outputs']) == 1, f'the saved notebook has no picture of {name}')


def main():
    args = read_args(__doc__)
    with ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        write_book(file := tmp/'work/explore.ipynb', CELLS)
        url = f'{start_lab(stack, tmp)}lab/tree/{file.name}'
        browser = Browser(stack, args.chromium, tmp/'chromium')
        try:
            nb = Notebook(browser, url, args.shots, CELLS)
            nb.run('imports')
            check(stills(nb.run('paint')) == 1, 'the widget leaves no still picture')
            painter = Painter(nb, 'paint')
            check_paint(nb, painter)
            check_python(nb, painter)
            check_fill(nb, painter)
            check_busy(nb, painter)
            check_two(nb, painter)
            check_refused(painter)
            check_others(nb)
            check_saved(nb, file)
            if args.shots: check_looks(nb)
        except SystemExit:
            if args.shots: browser.shot(args.shots/'failed.png')
            raise
    print('all is as it should be')


if __name__ == '__main__': main()

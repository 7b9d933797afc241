"""Open an exported page in a real browser, as a person does: `python .ci/page.py --ort TGZ_OR_FOLDER [--shots FOLDER]`

Exports the demo model with its masked prior, and once more in half precision with the autoregressive one; serves each
by `python -m http.server`, and opens it in a headless Chromium that has no network but that server. There: drops a
face, paints with the mouse and the keys, undoes, erases and fills, mixes, pastes integers, dreams, and opens the
address again; at the width of a desk and of a telephone. What comes out is compared with PyTorch. Says what it saw, a
line each; the first thing that is not so is the last line, with exit code 1.

Needs the package with its extra `dev`, a Chromium (Debian's package `chromium`; Chrome will do), and onnxruntime-web
(`npm pack onnxruntime-web@VERSION`; without --ort, it is fetched once). FOLDER gets screenshots, to be looked at.
"""
import base64, json, re, statistics, sys, tempfile, time
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anime_vq_nb.data import demo_avatar, demo_style, normalize
from anime_vq_nb.decoder import VQVAE
from anime_vq_nb.dream import load_prior
from anime_vq_nb.export import export
from anime_vq_nb.pictures import read_picture
from lab import Browser, check, read_args, start, wait

OFFLINE = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'
# a number that depends on seed, place, which and step, the same in Python
NOISE = ('(p, which) => { const x = Math.sin(12.9898*(p + 1) + 78.233*(which + 1) + 37.719*step)*43758.5453; '
         'return x - Math.floor(x) }')


def noise(p, which, step):
    "As NOISE, in double precision"
    x = np.sin(12.9898*(p + 1) + 78.233*(which + 1) + 37.719*step)*43758.5453
    return x - np.floor(x)


def codes_of(model, pixels) -> list:
    "PyTorch's codes of a picture, uint8 (size, size, 3)"
    return model.encode(normalize(torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None])).flatten().tolist()


class Page:
    "An exported page in a browser"
    def __init__(self, stack: ExitStack, browser: Browser, folder: Path, shots: Path):
        serve = [sys.executable, '-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', folder]
        start(stack, serve, log := folder.with_suffix('.log'))
        port = wait('the server', lambda: (m := re.search(r'port (\d+)', log.read_text())) and m[1])
        self.browser, self.url, self.shots, self.n = browser, f'http://127.0.0.1:{port}/', shots, 0
        self.open(self.url)

    def open(self, url: str):
        self.browser('Page.navigate', url='about:blank')
        self.browser('Page.navigate', url=url)
        wait('the page', lambda: self.js("!!window.app?.ready"), 90)
        self.js('app.ready')
        self.quiet()

    def js(self, code: str): return self.browser.js(code)

    def quiet(self):
        "Wait until nothing is at work, and ask whether anything went wrong"
        wait('the page to be at rest', lambda: not self.js('app.now.busy'), 120)
        said = self.js("(m => m.hidden ? '' : m.textContent)(document.getElementById('message'))")
        check(not said, 'the page says', said)
        faults = self.js('window.faults')
        check(not faults, 'the page fails', faults)

    def codes(self) -> list: return self.js('[...app.history.state]')

    def picture(self) -> np.ndarray:
        "What the codes paint, (3, size, size) in [-1, 1]"
        self.quiet()
        time.sleep(.5)
        x = self.js('[...app.now.painted]')
        n = int((len(x)/3)**.5)
        return np.array(x).reshape(3, n, n)

    def point(self, place: int) -> tuple:
        "Where a place of the mosaic is on the screen"
        self.js("document.getElementById('mosaic').scrollIntoView({block: 'center'})")
        x, y, w = self.js("(r => [r.x, r.y, r.width])(document.getElementById('mosaic').getBoundingClientRect())")
        side = self.js('app.page.side')
        return x + (place % side + .5)*w/side, y + (place//side + .5)*w/side

    def mouse(self, kind: str, place: int, **kw):
        x, y = self.point(place)
        self.browser('Input.dispatchMouseEvent', type=kind, x=x, y=y, **kw)

    def drag(self, *places):
        "Paint with the mouse"
        self.mouse('mousePressed', places[0], button='left', clickCount=1)
        for p in places[1:]: self.mouse('mouseMoved', p, button='left', buttons=1)
        self.mouse('mouseReleased', places[-1], button='left', clickCount=1)
        self.quiet()

    def drop(self, png: bytes):
        "Drop a file on the page"
        self.js(f"""(async () => {{
            const bytes = Uint8Array.from(atob('{base64.b64encode(png).decode()}'), c => c.charCodeAt(0))
            const dataTransfer = new DataTransfer()
            dataTransfer.items.add(new File([bytes], 'face.png', {{type: 'image/png'}}))
            document.body.dispatchEvent(new DragEvent('drop', {{dataTransfer, bubbles: true, cancelable: true}}))
        }})()""")
        self.quiet()

    def fetched(self) -> list:
        "Names of files that the page fetched, all from its own server"
        urls = self.js("performance.getEntriesByType('resource').map(r => r.name)")
        foreign = [u for u in urls if not u.startswith((self.url, 'data:', 'blob:'))]
        check(not foreign, 'the page asks others', foreign)
        return [u.rpartition('/')[2] for u in urls]

    def shot(self, title: str):
        "A screenshot of all of the page"
        print(f'  {title}', flush=True)
        if not self.shots: return
        time.sleep(.6)
        self.n += 1
        size = self.browser('Page.getLayoutMetrics')['cssContentSize']
        clip = dict(x=0, y=0, width=size['width'], height=size['height'], scale=1)
        png = self.browser('Page.captureScreenshot', format='png', captureBeyondViewport=True, clip=clip)['data']
        (self.shots/f'{self.n:02d}-{title.replace(" ", "-")}.png').write_bytes(base64.b64decode(png))


def check_drop(page: Page, model):
    "Dropped faces have PyTorch's codes"
    late = {'encoder.onnx', 'prior.onnx', *[f for f in page.fetched() if 'webgpu' in f or 'asyncify' in f]}
    check(not late & {*page.fetched()}, 'the first view fetches more than it needs', page.fetched())
    page.shot('first view')
    for seed in ('one', 'two', 'three'):
        face = demo_avatar(demo_style('lorelei' if seed == 'one' else 'adventurer')[0], seed, model.size)
        face.save(png := BytesIO(), 'PNG')
        page.drop(png.getvalue())
        check(page.codes() == codes_of(model, face), f'a dropped face ({seed}) has other codes than PyTorch gives')
    wide = demo_avatar(demo_style('micah')[0], 'wide', 5*model.size).crop((0, 0, 5*model.size, 4*model.size - 7))
    wide.save(png := BytesIO(), 'PNG')
    page.drop(png.getvalue())
    want = codes_of(model, read_picture(png.getvalue(), size=model.size)[1])
    same = np.mean(np.equal(page.codes(), want))
    print(f'  a picture of {wide.width}×{wide.height} has {same:.1%} of the codes that the commands give it')
    check(same > .98, 'a picture of another size is not resized as the commands do')
    check('encoder.onnx' in page.fetched(), 'the encoder came from nowhere', page.fetched())


def check_paint(page: Page):
    "What is painted changes there; undo takes it back"
    page.js('app.takeFace(0)')
    before, codes, side = page.picture(), page.codes(), page.js('app.page.side')
    code = next(c for c in range(page.js('app.page.k')) if c not in codes)
    page.js(f'app.choose({code})')
    n = side//4
    region = [y*side + x for y in range(1, 1 + n) for x in (range(1, 1 + n) if y % 2 else range(n, 0, -1))]
    page.drag(*region)
    after, painted = page.picture(), page.codes()
    check([p for p in range(side**2) if painted[p] != codes[p]] == sorted(region), 'the mouse painted elsewhere')
    change, cell = np.abs(after - before).mean(0), before.shape[1]//side
    near = np.zeros_like(change, bool)
    near[:(n + 4)*cell,:(n + 4)*cell] = True
    there = change[cell:(n + 1)*cell,cell:(n + 1)*cell].mean()
    print(f'  {n}×{n} codes painted: {there/change[~near].mean():.0f} times the change there as away from it')
    check(there >= 10*change[~near].mean(), 'painting changes the picture elsewhere')
    page.shot('painted')
    page.js("document.getElementById('mosaic').blur()")
    page.browser.key('z')
    page.quiet()
    check(page.codes() == codes, 'undo does not take back what one stroke painted')
    page.js("document.getElementById('mosaic').focus()")
    for key in ('ArrowDown', 'ArrowRight', ' '): page.browser.key(key)
    page.quiet()
    at = [p for p in range(side**2) if page.codes()[p] != codes[p]]
    check(at == [(side//2 + 1)*side + side//2 + 1], 'the keys paint elsewhere', at)
    check(np.array_equal(page.picture().shape, before.shape), 'the picture is gone')


def check_fill(page: Page):
    "What was erased is filled, and the rest stays"
    page.js("app.takeFace(1)")
    page.quiet()
    codes, side = page.codes(), page.js('app.page.side')
    page.browser.click("document.querySelector('[value=erase]').nextElementSibling")
    page.js("(b => { b.value = 4; b.dispatchEvent(new Event('input')) })(document.getElementById('brush'))")
    page.drag(*[y*side + side//2 for y in range(side//2, side - 2, 2)])
    holes = page.codes().count(page.js('app.page.k'))
    check(holes > 10, f'the eraser left {holes} holes')
    page.shot('erased')
    page.browser.click("document.getElementById('fill')")
    time.sleep(.3)
    page.quiet()
    filled, k = page.codes(), page.js('app.page.k')
    check(k not in filled, 'holes are left')
    changed = sum(a != b for a,b in zip(codes, filled))
    check(changed <= holes, 'codes outside of the holes changed')
    print(f'  {holes} holes filled, {changed} by other codes than before')
    page.js("app.tool('paint')")


def check_dream(page: Page, prior):
    "Given the same uniform numbers, the page dreams what PyTorch dreams"
    steps, side, k = 8, prior.side, prior.n_codes
    label = prior.n_classes//2
    page.js(f"(() => {{ let step = 0; return app.dream({{steps: {steps}, label: {label}, "
            f"step: () => {{ step++ }}, random: {NOISE}}}) }})()")
    page.quiet()
    p = np.arange(side*side)
    u = torch.tensor(np.stack([[noise(p, w, s + 1) for w in (0, 1)] for s in range(steps)]))[None].float()
    with torch.no_grad():
        x = prior.fill(prior.canvas(1), prior.label_ids(label, 1), u, 'confidence', 0., 4.5)
    same = np.mean(np.equal(page.codes(), x[0].tolist()))
    print(f'  dreamt in {steps} steps: {same:.1%} of the codes that PyTorch draws')
    check(same > .95, 'the page samples otherwise than the package')
    page.js('app.dream({seed: 1})')
    page.quiet()
    codes = page.codes()
    check(k not in codes, 'a dream has holes')
    page.js('app.dream({seed: 1})')
    page.quiet()
    check(page.codes() == codes, 'the same seed dreams another face')
    page.shot('dreamt')


def check_share(page: Page):
    "The address opens the same face; integers go out and come in; two faces mix"
    codes, url = page.codes(), page.js('location.href')
    picture = page.picture()
    page.open(url)
    check(page.codes() == codes, 'the address opens another face')
    check(np.abs(page.picture() - picture).max() < 1e-5, 'the address paints another picture')
    print(f'  an address of {len(url)} characters holds the face')
    text = page.js("document.getElementById('text').value")
    check([int(w) for w in text.split()] == codes, 'the text is not the codes')
    def type_in(words):
        page.js(f"(t => {{ t.focus(); t.value = {json.dumps(words)}; t.dispatchEvent(new Event('input')) }})"
                "(document.getElementById('text'))")
        page.quiet()
        return page.js("document.getElementById('wrong').textContent")
    check('is no code' in type_in('x ' + text), 'words are taken for codes')
    check(page.codes() == codes, 'what is no grid of codes changes the face')
    other = codes[::-1]
    check(not type_in(str(other)) and page.codes() == other, 'pasted integers are not taken')
    page.js("document.activeElement.blur()")
    page.browser.click("document.querySelectorAll('#others button')[2]")
    slide = "(s => {{ s.value = {}; s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')) }})"
    there = page.js('app.page.faces[2].codes')
    for percent, want in ((50, None), (100, there), (0, other)):
        page.js(f"{slide.format(percent)}(document.getElementById('mix'))")
        page.quiet()
        if want: check(page.codes() == want, f'a mixture at {percent} % is not what it should be')
        else: check(page.codes() not in (there, other), 'half of two faces is one of them')
        if percent == 50: page.shot('mixed')
    page.open(page.url)


def check_bad(page: Page):
    "Addresses and files that are none are one line"
    def said(): return page.js("document.getElementById('message').textContent")
    page.js("location.hash = '#words'")
    wait('a word on the damaged address', lambda: 'damaged' in said())
    page.js("location.hash = '#00000000.AAAA'")
    wait('a word on the foreign address', lambda: 'another tokenizer' in said())
    page.js("app.take(new Blob(['words'], {type: 'image/png'}))")
    check('no picture' in said(), 'a file that is no picture is not named', said())
    page.js("app.takeFace(2).then(() => app.takeFace(3)).then(() => document.getElementById('undo').click())")
    page.quiet()
    check(page.js('app.now.index') == 2, 'undo brings codes back without their face', page.js('app.now.index'))
    check(said() == '', 'what was wrong is still said', said())
    page.js('app.takeFace(0)')
    page.quiet()


def check_looks(page: Page):
    "Nothing sticks out, on a desk and on a telephone, by day and by night"
    def overflow(): return page.js('document.documentElement.scrollWidth - innerWidth')
    for width, mobile in ((1200, False), (760, False), (400, True), (320, True)):
        page.browser('Emulation.setDeviceMetricsOverride', width=width, height=850, deviceScaleFactor=2, mobile=mobile)
        for scheme in ('light', 'dark'):
            page.browser('Emulation.setEmulatedMedia', features=[dict(name='prefers-color-scheme', value=scheme)])
            time.sleep(.3)
            check(overflow() <= 0, f'at {width} pixels the page is {overflow()} pixels too wide')
            page.shot(f'{width} {scheme}')
    page.browser('Emulation.setDeviceMetricsOverride', width=1200, height=1250, deviceScaleFactor=1, mobile=False)


def check_half(page: Page, model, prior):
    "With weights in half precision a face has nearly the same codes, and the autoregressive prior begins as PyTorch's"
    face = demo_avatar(demo_style('toon-head')[0], 'half', model.size)
    face.save(png := BytesIO(), 'PNG')
    page.drop(png.getvalue())
    same = np.mean(np.equal(page.codes(), codes_of(model, face)))
    print(f"  a dropped face has {same:.1%} of PyTorch's codes")
    check(same >= .995, 'half precision gives other codes')
    n, label = prior.side**2, prior.n_classes//2
    page.js(f"(() => {{ let i = 0; const step = 0, f = {NOISE}; "
            f"return app.dream({{label: {label}, random: () => f(i++, 0)}}) }})()")
    page.quiet()
    u = torch.from_numpy(noise(np.arange(n), 0, 0))[None].float()
    with torch.no_grad():
        want = prior.generate(u, prior.label_ids(label, 1), 0., True)[0].tolist()
    same = next((i for i,(a,b) in enumerate(zip(page.codes(), want)) if a != b), n)
    print(f'  dreamt code after code: the first {same} of {n} are those that PyTorch draws')
    check(same >= n//8, 'the page samples otherwise than the package')


def write_still(page: Page, file: Path):
    "The page as one sees it first, in few bytes"
    page.browser('Emulation.setEmulatedMedia', features=[dict(name='prefers-color-scheme', value='light')])
    page.browser('Emulation.setDeviceMetricsOverride', width=1080, height=840, deviceScaleFactor=1, mobile=False)
    page.open(page.url)
    page.js("document.activeElement.blur()")
    time.sleep(1)
    png = page.browser('Page.captureScreenshot', format='png')['data']
    picture = Image.open(BytesIO(base64.b64decode(png))).convert('RGB').quantize(256, dither=Image.Dither.NONE)
    picture.save(file, optimize=True)


def say_speed(page: Page):
    "How long a face takes; a number to read, for a busy machine is no fault of the page"
    times = page.js("""(async () => { const ms = []
        for (let i = 0; i < 11; i++) {
            const t = performance.now()
            await app.net.decode(app.history.state)
            ms.push(performance.now() - t)
        }
        return ms })()""")
    print(f'  a face is decoded in {statistics.median(times):.0f} ms (median of {len(times)})')


def main():
    ort = dict(default='', help='onnxruntime-web: its package .tgz, or a folder; by default it is fetched')
    args = read_args(__doc__, ort=ort, still=dict(type=Path, help='also write a picture of the page there, a PNG'),
                     page=dict(type=Path, help='a page that was exported before from demo, with the masked prior'))
    model, prior = VQVAE.from_pretrained('demo').eval(), load_prior('demo').eval()
    with ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        browser = Browser(stack, args.chromium, tmp/'chromium', flags=[OFFLINE])
        faults = "window.faults = []; for (const k of ['error', 'unhandledrejection']) " \
                 "addEventListener(k, e => faults.push(String(e.reason ?? e.message)))"
        browser('Page.enable')
        browser('Page.addScriptToEvaluateOnNewDocument', source=faults)
        if not args.page: print(export('demo', tmp/'page', prior='demo', ort=args.ort))
        try:
            page = Page(stack, browser, args.page or tmp/'page', args.shots)
            check_drop(page, model)
            say_speed(page)
            check_paint(page)
            check_fill(page)
            check_dream(page, prior)
            check_share(page)
            check_bad(page)
            check_looks(page)
            if args.still: write_still(page, args.still)
            if not args.page:
                print(export('demo', tmp/'half', prior='demo-ar', fp16=True, ort=args.ort, webgpu=False))
                check_half(Page(stack, browser, tmp/'half', None), model, load_prior('demo-ar').eval())
        except SystemExit:
            if args.shots: browser.shot(args.shots/'failed.png')
            raise
    print('all is as it should be')


if __name__ == '__main__': main()

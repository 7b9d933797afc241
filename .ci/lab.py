"""Train in a real JupyterLab, as a person does: `python .ci/lab.py [--shots FOLDER] [--record FILE] [--chromium FILE]`

Starts JupyterLab on a notebook of its own in a temporary folder, opens it in a headless Chromium, and there: trains
the demo, presses *Stop and save* in mid-run, resumes, presses *Picture now*, looks back with the slider, interrupts
the kernel, makes a mistake, restarts the kernel, opens the run again, and reloads the page. Some four minutes on two
cores. Says what it saw, a line each; the first thing that is not so is the last line, with exit code 1.

With `--book nbs/05_train.ipynb`, it runs all cells of that notebook instead, in a copy of the last commit: none fails,
and every run that was begun is there and finished. That page takes some ten minutes on two cores without a GPU.

Needs the package with its extra `dev` (JupyterLab brings the WebSocket client with it) and a Chromium (Debian's
package `chromium`; Chrome will do). No network. FOLDER gets screenshots, to be looked at; FILE gets what the view took
of the run's time, as a record.
"""
import argparse, base64, json, os, re, shutil, subprocess, sys, tempfile, time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import nbformat.v4 as v4
from websocket import create_connection

SMALL = 'n_demo=120, batch_size=4, kmeans_images=0, kmeans_at=0'
RUN = f"fit('demo', name='{{}}', max_steps={{}}, {SMALL},\n    val_check_interval=50, pictures_every=50)"
CELLS = dict(
    imports='from anime_vq_nb.train import fit\nfrom anime_vq_nb.watch import Run',
    fit='run = ' + RUN.format('demo', 400),
    resume='run = run.resume()\nrun',
    plot='run.plot()',
    interrupt=RUN.format('short', 1000),
    mistake="fit('demo', max_step=10)",
    again="run = Run('runs/demo/0')\nprint(run)\nrun.watch()")
NOISE = 'litlogger', 'GPU available', 'TPU available', 'Params', 'max_steps=', 'Warning', 'Seed set', '%|'
PANEL = "[...jupyterapp.shell.widgets('main')].find(w => w.context?.path.endsWith('.ipynb'))" # of the notebook
KERNEL = f"{PANEL}?.sessionContext.session?.kernel?.status == 'idle'"
VIRTUAL = dict(Enter=13, Escape=27, ArrowLeft=37, ArrowUp=38, ArrowRight=39, ArrowDown=40)
STATE = re.compile(r'training, step ([\d,]+) of')


def check(so, otherwise: str, said=''):
    "What must be so"
    if not so: sys.exit(f'lab: {otherwise}{": " if said else ""}{" ".join(str(said).split())[-300:]}')


def wait(what: str, f, seconds=45):
    "The first true value of `f`"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := f(): return found
        time.sleep(.25)
    check(False, f'waited {seconds} s in vain for {what}')


def start(stack: ExitStack, command: list, log: Path, **env):
    "A process that ends with the stack"
    out = stack.enter_context(open(log, 'w'))
    p = subprocess.Popen([*map(str, command)], stdout=out, stderr=out, env={**os.environ, **env})
    def end():
        p.terminate()
        try: p.wait(20)
        except subprocess.TimeoutExpired: p.kill()
    stack.callback(end)
    return p


def start_lab(stack: ExitStack, tmp: Path) -> str:
    "JupyterLab on tmp/work, with settings of its own; its address"
    news = tmp/'settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings'
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}') # no question about news, no network
    env = {f'JUPYTER_{k}_DIR': str(tmp/k) for k in ('CONFIG', 'DATA', 'RUNTIME')}
    options = ['--no-browser', '--allow-root', '--port=0', '--IdentityProvider.token=', '--ServerApp.ip=127.0.0.1',
               '--LabApp.expose_app_in_browser=True', f'--ServerApp.root_dir={tmp/"work"}']
    lab = start(stack, [sys.executable, '-m', 'jupyterlab', *options], tmp/'lab.log', **env, IPYTHONDIR=str(tmp/'ipy'),
                JUPYTERLAB_SETTINGS_DIR=str(tmp/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(tmp/'workspaces'))
    def address():
        check(lab.poll() is None, 'JupyterLab did not start', (tmp/'lab.log').read_text())
        return [json.loads(f.read_text())['url'] for f in (tmp/'RUNTIME').glob('jpserver-*.json') if f.stat().st_size]
    return wait('JupyterLab', address)[0]


def write_book(file: Path, cells: dict):
    "A notebook of cells without outputs"
    file.parent.mkdir()
    kernel = dict(kernelspec=dict(name='python3', display_name='Python 3', language='python'))
    book = v4.new_notebook(cells=[v4.new_code_cell(s) for s in cells.values()], metadata=kernel)
    file.write_text(v4.writes(book), encoding='utf-8')


class Browser:
    "A page of a headless Chromium, by the DevTools protocol"
    def __init__(self, stack: ExitStack, file: str, profile: Path, width=1200, height=1250, flags=()):
        always = '--headless=new --no-sandbox --disable-gpu --disable-background-networking --no-first-run'.split()
        always += [f'--user-data-dir={profile}', '--remote-debugging-port=0']
        profile.mkdir()
        start(stack, [file, *always, *flags, 'about:blank'], profile.with_suffix('.log'))
        port = wait('Chromium', lambda: (f := profile/'DevToolsActivePort').is_file() and f.read_text().split())[0]
        pages = json.load(urlopen(f'http://127.0.0.1:{port}/json'))
        url = next(p['webSocketDebuggerUrl'] for p in pages if p['type'] == 'page')
        self.socket, self.n = create_connection(url, suppress_origin=True, timeout=60), 0
        stack.callback(self.socket.close)
        self('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)

    def __call__(self, method: str, **params) -> dict:
        self.n += 1
        self.socket.send(json.dumps(dict(id=self.n, method=method, params=params)))
        while (answer := json.loads(self.socket.recv())).get('id') != self.n: pass # events
        check('error' not in answer, f'{method} failed', answer.get('error'))
        return answer['result']

    def js(self, code: str):
        "Value of an expression"
        found = self('Runtime.evaluate', expression=code, returnByValue=True, awaitPromise=True)
        check('exceptionDetails' not in found, f'{code[:80]} failed', found.get('exceptionDetails'))
        return found['result'].get('value')

    def click(self, element: str):
        "With the mouse, in the middle of what an expression finds"
        x, y = self.js(f"""(e => {{ e.scrollIntoView({{block: 'nearest'}}); const r = e.getBoundingClientRect()
                           return [r.x + r.width/2, r.y + r.height/2] }})({element})""")
        for kind in ('mousePressed', 'mouseReleased'):
            self('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

    def key(self, name: str):
        "On the keyboard"
        how = dict(key=name, code=f'Key{name.upper()}' if len(name) == 1 else name)
        how['windowsVirtualKeyCode'] = VIRTUAL.get(name) or ord(name.upper()) # by which JupyterLab knows its shortcuts
        for kind in ('keyDown', 'keyUp'): self('Input.dispatchKeyEvent', type=kind, **how)

    def shot(self, file: Path):
        "A screenshot"
        file.write_bytes(base64.b64decode(self('Page.captureScreenshot', format='png')['data']))


class Notebook:
    "A notebook in JupyterLab; cells (name → source) go by their names"
    def __init__(self, browser: Browser, url: str, shots: Path, cells: dict):
        self.browser, self.shots, self.cells, self.n = browser, shots, [*cells], 0
        self.open(url)

    def open(self, url: str):
        self.browser('Page.navigate', url=url)
        ready = f'window.jupyterapp && {PANEL}?.content.widgets.length == {len(self.cells)} && {KERNEL}'
        wait('the notebook in JupyterLab', lambda: self.browser.js(ready))
        self.browser.js(f'jupyterapp.shell.activateById({PANEL}.id)')
        config = "document.getElementById('jupyter-config-data').innerText"
        check('jupyterlab-manager' in self.browser.js(config), 'this JupyterLab has no widgets; see JUPYTER_PATH')

    def cell(self, name: str, what: str):
        "A property of a cell, in JavaScript"
        return self.browser.js(f'{PANEL}.content.widgets[{self.cells.index(name)}].{what}')

    def command(self, name: str): self.browser.js(f"void jupyterapp.commands.execute('{name}')")

    def start(self, name: str):
        self.queue(name)
        wait(f'the cell {name} to start', lambda: self.cell(name, 'model.executionState') == 'running'
             or self.cell(name, 'model.executionCount'), 20)

    def end(self, name: str, error=False, seconds=240) -> list:
        "Outputs of a cell, when it is done"
        wait(f'the cell {name} to end', lambda: self.cell(name, 'model.executionState') == 'idle'
             and self.cell(name, 'model.executionCount'), seconds)
        outputs = self.cell(name, 'model.outputs.toJSON()')
        failed = [o for o in outputs if o['output_type'] == 'error']
        check(bool(failed) == error, f'the cell {name} ended with{"" if failed else "out"} an error', failed)
        return outputs

    def queue(self, name: str):
        self.browser.js(f'{PANEL}.content.activeCellIndex = {self.cells.index(name)}')
        self.cell(name, 'model.clearExecution()') # what an earlier run has left is no answer
        self.command('notebook:run-cell')

    def run(self, name: str, **kw) -> list:
        self.start(name)
        return self.end(name, **kw)

    def text(self, name: str) -> str: return self.cell(name, 'outputArea.node.innerText')

    def step(self, name: str) -> int:
        "Where the view says that a run is; 0 where there is none"
        return int(m[1].replace(',', '')) if (m := STATE.search(self.text(name))) else 0

    def press(self, name: str, label: str):
        "A button of a cell's view"
        self.browser.click(f"{self.all(name, 'button')}.find(b => b.innerText.includes('{label}'))")

    def all(self, name: str, what: str) -> str:
        "Elements of a cell's output, in JavaScript"
        return f"[...{PANEL}.content.widgets[{self.cells.index(name)}].outputArea.node.querySelectorAll('{what}')]"

    def shot(self, title: str, name: str):
        "A screenshot with a cell at its top"
        print(f'  {title}', flush=True)
        if not self.shots: return
        self.cell(name, "node.scrollIntoView({block: 'start'})")
        time.sleep(1)
        self.n += 1
        self.browser.shot(self.shots/f'{self.n:02d}-{title.replace(" ", "-")}.png')


def plain(outputs: list) -> str:
    "What was printed"
    return ''.join(o['text'] for o in outputs if o['output_type'] == 'stream')


def stills(outputs: list) -> int:
    "Pictures that a saved notebook keeps"
    return sum('image/png' in o.get('data', {}) for o in outputs)


def check_quiet(name: str, outputs: list):
    text = plain(outputs)
    check(len(text) < 1500, f'{name} printed {len(text)} characters', text)
    for n in NOISE: check(n not in text, f'{name} printed {n!r}', text)


def train_and_stop(nb: Notebook, folder: Path):
    "The button stops a run that trains, and saves it"
    check(not (said := nb.run('imports')), 'the imports say something', said)
    nb.start('fit')
    first = wait("the run's view", lambda: nb.step('fit'))
    wait('the view to move on', lambda: nb.step('fit') > first)
    wait('pictures in the view', lambda: nb.browser.js(f"{nb.all('fit', 'img')}.length > 1"))
    nb.shot('training', 'fit')
    nb.press('fit', 'Stop and save')
    outputs = nb.end('fit', seconds=20)
    check((folder/'checkpoints/stopped.ckpt').is_file(), 'Stop and save left no stopped.ckpt')
    check_quiet('fit', outputs)
    check(stills(outputs) == 1, f'the stopped run left {stills(outputs)} still pictures, not one')
    nb.shot('stopped', 'fit')


def look_back(nb: Notebook, name: str):
    "The slider shows earlier pictures"
    def seen(): return nb.browser.js(f"{nb.all(name, 'img')}.map(i => i.src).join()")
    before = seen()
    nb.browser.js(f"{nb.all(name, '.noUi-handle')}[0].focus()")
    nb.browser.key('ArrowLeft')
    wait('the slider to show other pictures', lambda: seen() != before, 20)


def go_on(nb: Notebook, folder: Path) -> dict:
    "A resumed run writes into the same folder, and draws when it is asked to; the next cell waits"
    nb.start('resume')
    nb.queue('plot')
    wait("the resumed run's view", lambda: nb.step('resume'))
    nb.press('resume', 'Picture now')
    def asked(): return [f for f in folder.glob('pictures/reconstructions-*.png') if int(f.stem[-6:]) % 50]
    wait('the picture that was asked for', asked, 30)
    wait('two pictures', lambda: len([*folder.glob('pictures/reconstructions-*.png')]) > 2, 60)
    wait('the slider', lambda: (at := nb.step('resume')) and at > max(int(f.stem[-6:]) for f in asked()))
    look_back(nb, 'resume')
    nb.shot('looking back', 'resume')
    outputs = nb.end('resume')
    check((folder/'record.json').is_file() and not (folder.parent/'1').exists(), 'the run did not go on in its folder')
    for kind in ('codes', 'worst'): check([*folder.glob(f'pictures/{kind}-*.png')], f'there is no picture {kind}')
    check_quiet('resume', outputs)
    check(stills(outputs) == 1, f'the finished run left {stills(outputs)} still pictures, not one')
    nb.shot('finished', 'resume')
    progress = json.loads((folder/'progress.json').read_text())
    part = progress['looking']/progress['seconds']
    print(f"  the view took {progress['looking']:.2f} s of {progress['seconds']:.1f} s, {part:.2%}")
    check(part < .01, f"the view took {part:.2%} of the run's time")
    check(stills(nb.end('plot')) == 1, 'run.plot() is not one picture')
    nb.shot('plot', 'plot')
    return dict(steps=progress['step'], seconds=progress['seconds'], view_seconds=progress['looking'], part=part)


def interrupt(nb: Notebook, folder: Path):
    "The kernel's interrupt does what the button does; a mistake is one line"
    nb.start('interrupt')
    wait('the view of the run that is interrupted', lambda: nb.step('interrupt') > 1)
    nb.command('kernelmenu:interrupt')
    outputs = nb.end('interrupt', seconds=20)
    check((folder/'checkpoints/stopped.ckpt').is_file(), 'the interrupt left no stopped.ckpt')
    check_quiet('interrupt', outputs)
    nb.shot('interrupted', 'interrupt')
    nb.run('mistake', error=True)
    said = nb.text('mistake').strip()
    check(said.startswith('AvatarError: ') and '\n' not in said, 'a mistake is more than a line', said)
    nb.shot('mistake', 'mistake')


def restart(nb: Notebook, file: Path, url: str):
    "A new kernel opens the run; what was saved is worth looking at"
    nb.command('kernelmenu:restart')
    accept = "document.querySelector('.jp-Dialog .jp-mod-accept')"
    wait('the question whether to restart', lambda: nb.browser.js(f'!!{accept}'), 20)
    nb.browser.click(accept)
    time.sleep(2)
    wait('the new kernel', lambda: nb.browser.js(KERNEL), 60)
    nb.run('imports')
    outputs = nb.run('again')
    check('finished, step 400 of 400' in plain(outputs), 'the run was not opened again', plain(outputs))
    look_back(nb, 'again')
    nb.shot('opened again', 'again')
    nb.command('docmanager:save')
    time.sleep(2)
    saved = json.loads(file.read_text(encoding='utf-8'))['cells'][1]['outputs']
    check(stills(saved) == 1, f'the saved notebook holds {stills(saved)} still pictures of the run, not one')
    nb.open(url)
    nb.shot('reloaded', 'fit')


def run_book(nb: Notebook, folder: Path):
    "Run All, as someone without a GPU does"
    began, code = time.monotonic(), [n for n in nb.cells if nb.cell(n, 'model.type') == 'code']
    nb.command('notebook:run-all-cells')
    of_cell = "Array.from({length: c.outputs.length}, (_, i) => c.outputs.get(i).type).includes('error')"
    cells = f"{PANEL}.content.widgets.map(w => w.model).filter(c => c.type == 'code')"
    failed = f'{cells}.findIndex(c => {of_cell})'
    done = f'{KERNEL} && {cells}.every(c => c.executionCount)'
    wait('all cells to end', lambda: time.sleep(2) or nb.browser.js(f'{failed} > -1 || {done}'), 3000)
    if (i := nb.browser.js(failed)) > -1:
        check(False, f'the cell {code[i]} failed', nb.cell(code[i], 'model.outputs.toJSON()')[-1])
    runs = sorted(f.parent for f in folder.glob('runs/*/*/config.yaml'))
    for run in runs: check((run/'record.json').is_file(), f'{run.relative_to(folder)} is not finished')
    check(runs, 'no run is left')
    print(f'  {len(code)} cells in {time.monotonic() - began:.0f} s; left:', *(r.relative_to(folder) for r in runs))
    for i,name in enumerate(code[-12:]): nb.shot(f'cell {i}', name)


def copy_of_commit(folder: Path):
    "The last commit, without what is not in it"
    folder.mkdir()
    archive = subprocess.run(['git', 'archive', 'HEAD'], check=True, capture_output=True).stdout
    subprocess.run(['tar', '-x', '-C', folder], check=True, input=archive)


def read_args(doc: str, **more):
    "What every test with a browser is asked for, and `more`: name → keywords of add_argument"
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shots', type=Path, help='folder for screenshots')
    p.add_argument('--chromium', default=shutil.which('chromium') or shutil.which('google-chrome'), help='its program')
    for name, how in more.items(): p.add_argument(f'--{name}', **how)
    args = p.parse_args()
    check(args.chromium, 'there is no Chromium; install one, or name it: --chromium FILE')
    if args.shots: args.shots.mkdir(parents=True, exist_ok=True)
    return args


def main():
    args = read_args(__doc__, record=dict(type=Path, help='file for what the view took'),
                     book=dict(type=Path, help='notebook of the project to run instead'))
    with ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        file, runs, cells = tmp/'work'/(args.book or 'lab.ipynb'), tmp/'work/runs', CELLS
        if args.book:
            copy_of_commit(tmp/'work')
            cells = {c['id']: c for c in json.loads(file.read_text(encoding='utf-8'))['cells']}
        else: write_book(file, cells)
        url = f'{start_lab(stack, tmp)}lab/tree/{file.relative_to(tmp/"work")}'
        browser = Browser(stack, args.chromium, tmp/'chromium')
        try:
            nb = Notebook(browser, url, args.shots, cells)
            if args.book: return run_book(nb, file.parent)
            train_and_stop(nb, runs/'demo/0')
            view = go_on(nb, runs/'demo/0')
            interrupt(nb, runs/'short/0')
            restart(nb, file, url)
            if args.record:
                sys.path.append(str(Path(__file__).parents[1]/'benchmarks'))
                from record import write_record # imports the package
                write_record(args.record, run=RUN.format('demo', 400).replace('\n   ', ''), **view)
        except SystemExit:
            if args.shots: browser.shot(args.shots/'failed.png')
            raise
    print('all is as it should be')


if __name__ == '__main__': main()

"""Build the documentation without Quarto: `python .ci/docs.py` writes `_docs/`, with `--readme` README.md.

`nbdev_docs` does both where Quarto is installed. Here nbdev prepares the notebooks as it does for Quarto, and smalldocs
renders them from the same `_quarto.yml`. A dead link or picture is an error. Formulas are drawn by KaTeX, fetched by
npm and put beside the pages. The shipped model is exported as the page try/, for which npm brings onnxruntime-web.
"""
import argparse, json, re, shutil, subprocess, sys, tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbdev.doclinks, nbdev.quarto, nbdev.serve, yaml
from nbdev.config import get_config

KATEX = 'katex@0.16.11'


def prepare() -> Path:
    "nbdev's own processing: API tables, doc links, hidden cells. Returns the folder of processed notebooks"
    nbdev.quarto.refresh_quarto_yml()
    nbdev.doclinks._build_modidx()
    return Path(nbdev.serve.proc_nbs(force=True))


def relative(text: str) -> str:
    "Links to our own site, made relative, so that they work anywhere and are checked"
    cfg = get_config()
    return text.replace(f'{cfg.doc_host}{cfg.doc_baseurl}/', '')


def rename_pages(proc: Path):
    "`00_data` becomes the page `data`, as nbdev names it; smalldocs knows no `output-file`"
    names = {p.name: nbdev.doclinks._nbpath2html(p).with_suffix('.ipynb').name for p in proc.glob('*.ipynb')}
    for old,new in names.items():
        text = relative((proc/old).read_text(encoding='utf-8'))
        text = re.sub(r'output-file: \S+?\\n', '', text)
        (proc/old).unlink()
        text = re.sub(r'\((\d\d_\w+\.ipynb)', lambda m: f'({names.get(m[1], m[1])}', text)
        (proc/new).write_text(text, encoding='utf-8')
    yml = proc/'_quarto.yml'
    text = yml.read_text(encoding='utf-8')
    yml.unlink() # it may be a link to the original
    for old,new in names.items(): text = text.replace(old, new)
    yml.write_text(text.replace('output-dir: ../_docs', 'output-dir: _docs'), encoding='utf-8')


def add_katex(site: Path):
    "Formulas must not need a network to be read"
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(['npm', 'pack', '--silent', KATEX], cwd=d, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(['tar', 'xzf', next(Path(d).glob('*.tgz')).name], cwd=d, check=True)
        dist = site/'site_libs'/'katex'
        (dist/'contrib').mkdir(parents=True)
        for f in ('katex.min.css', 'katex.min.js', 'contrib/auto-render.min.js'):
            shutil.copy(Path(d)/'package/dist'/f, dist/f)
        shutil.copytree(Path(d)/'package/dist/fonts', dist/'fonts')
    for page in site.rglob('*.html'):
        text = page.read_text(encoding='utf-8')
        up = '../'*(len(page.relative_to(site).parts) - 1)
        text = re.sub(r'https://cdn\.jsdelivr\.net/npm/katex@[\d.]+/dist', f'{up}site_libs/katex', text)
        page.write_text(text, encoding='utf-8')


def add_try(site: Path):
    "The shipped model as a page that anybody can paint on"
    from anime_vq_nb.export import export
    from anime_vq_nb.web import ORT
    with tempfile.TemporaryDirectory() as d:
        pack = 'npm', 'pack', '--silent', f'onnxruntime-web@{ORT}'
        subprocess.run(pack, cwd=d, check=True, stdout=subprocess.DEVNULL)
        print(export('demo', site/'try', prior='demo', ort=str(next(Path(d).glob('*.tgz'))), webgpu=False))
    (site/'.try.lock').unlink(missing_ok=True)


class Page(HTMLParser):
    "Ids and links of a page"
    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        self.ids |= {v for k,v in attrs if k == 'id'}
        self.links += [urlsplit(v) for k,v in attrs if k in ('href', 'src') and v]


def dead_links(site: Path) -> list:
    "Links within the site to a file or an anchor that is not there; smalldocs looks at files only"
    pages, dead = {p: Page(p) for p in site.rglob('*.html')}, []
    for path,page in pages.items():
        for link in page.links:
            if link.scheme or link.netloc: continue
            to = (path.parent/unquote(link.path)).resolve() if link.path else path
            if to.is_dir(): to /= 'index.html'
            if not to.exists() or to in pages and link.fragment and unquote(link.fragment) not in pages[to].ids:
                dead.append(f'{path.name}: dead link {link.geturl()}')
    return dead


def docs():
    root = get_config().config_path
    proc = prepare()
    rename_pages(proc)
    (proc/'try').mkdir(exist_ok=True)
    (proc/'try'/'index.html').touch() # its links are checked; the page comes below
    subprocess.run(['smalldocs', 'render', '--strict', str(proc)], check=True)
    shutil.rmtree(proc/'_docs'/'try', ignore_errors=True)
    if shutil.which('npm'): add_try(proc/'_docs')
    if dead := dead_links((proc/'_docs').resolve()): sys.exit('\n'.join(dead))
    if shutil.which('npm'): add_katex(proc/'_docs')
    else: print('npm is not installed: formulas will be drawn by a script from the network')
    shutil.copy(root/'nbs'/'llms.txt', proc/'_docs')
    shutil.rmtree(root/'_docs', ignore_errors=True)
    shutil.move(proc/'_docs', root/'_docs')
    print(f"{len(list((root/'_docs').rglob('*.html')))} pages in _docs")


def readme():
    "The index notebook as Markdown: its prose, its code, its printed outputs; pictures from nbs/images"
    nb = json.loads((prepare()/'index.ipynb').read_text(encoding='utf-8'))
    parts = []
    for cell in nb['cells']:
        src = ''.join(cell['source']).strip()
        if cell['cell_type'] == 'raw': # nbdev made this front matter of the title and of the promise below it
            front = yaml.safe_load(src.strip('-\n'))
            parts += ['# ' + front['title'], '> ' + front['description']]
        elif cell['cell_type'] == 'markdown' and not src.startswith('<!-- WARNING'): parts.append(src)
        elif cell['cell_type'] == 'code' and not re.search(r'#\|\s*hide\b', src):
            if not re.search(r'#\|\s*echo:\s*false', src): parts.append(f'```python\n{src}\n```')
            printed = [''.join(o['text']).rstrip() for o in cell['outputs'] if o.get('name') == 'stdout']
            parts += [f'```\n{text}\n```' for text in printed]
    text = '\n\n'.join(p for p in parts if p)
    cfg = get_config()
    text = text.replace(f'{cfg.git_url}/blob/{cfg.branch}/', '') # files of the repository
    text = re.sub(r'\]\(images/', '](nbs/images/', text)
    text = re.sub(r'\]\((\w+\.ipynb)', r'](nbs/\1', text)
    head = '<!-- Made from nbs/index.ipynb by `python .ci/docs.py --readme`; edit that -->\n\n'
    (cfg.config_path/'README.md').write_text(head + text + '\n', encoding='utf-8')


if __name__ == '__main__':
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--readme', action='store_true', help='write README.md instead')
    try: readme() if ap.parse_args().readme else docs()
    except subprocess.CalledProcessError as e: sys.exit(f'docs: {e.cmd[0]} failed')

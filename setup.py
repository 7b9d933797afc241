"Packaging; everything it says stands in settings.ini"
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_namespace_packages, setup

ini = ConfigParser(delimiters=['='])
ini.read('settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'], author=cfg['author'],
    url=cfg['git_url'], license='Apache-2.0', python_requires='>=' + cfg['min_python'],
    long_description=Path('README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Science/Research', 'Programming Language :: Python :: 3'],
    # folders of data are packages, too: configurations, weights, the page
    packages=find_namespace_packages(include=[cfg['lib_name'] + '*'], exclude=['*.__pycache__*']),
    package_data={'': ['*.yaml', '*.json', '*.md', '*.safetensors', '*.html', '*.css', '*.mjs']},
    install_requires=cfg['requirements'].split(), extras_require={k: cfg[f'{k}_requirements'].split() for k in 'bench dev export face hub litdata public vqp wandb'.split()},
    entry_points=dict(console_scripts=cfg['console_scripts'].split(), nbdev=[f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]),
    zip_safe=False,
)

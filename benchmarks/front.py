"""README's first picture: what the tokenizer that comes with the package makes of avatars that it has never seen

    python benchmarks/front.py      # some seconds; writes nbs/images/front.png
"""
import argparse
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F

from anime_vq_nb.data import demo_store, normalize, show_rows
from anime_vq_nb.decoder import VQVAE
from anime_vq_nb.dream import dream, load_pair
from anime_vq_nb.tokens import decode_codes

SEED, N = 7, 8 # of the drawing; the first so many avatars of it


def mosaics(model, codes):
    "Each code in the colour that it paints where it fills a picture"
    k = model.quantizer.n_codes
    filled = torch.arange(k)[:, None, None].expand(k, *codes.shape[1:])
    with torch.no_grad():
        painted = model.decode(filled)
    middle = model.size//2
    colour = painted[:, :, middle - 8:middle + 8, middle - 8:middle + 8].mean((2, 3))
    return F.interpolate(colour[codes].permute(0, 3, 1, 2), size=model.size)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--out', default='nbs/images/front.png', help='picture to write (default: %(default)s)')
    args = ap.parse_args()
    model = VQVAE.from_pretrained('demo').eval()
    with TemporaryDirectory() as folder:
        store = demo_store(f'{folder}/avatars', N, model.size, seed=SEED)
        x = normalize(torch.stack([*store]))
    codes = model.encode(x)
    prior, tokenizer = load_pair('demo')
    styles = torch.arange(N) % len(prior.class_names)
    rows = {'avatars that the model never saw': x,
            'their codes: 16×16 integers, each in its colour': mosaics(model, codes),
            'drawn from the integers alone': decode_codes(model, codes),
            'integers that a transformer wrote, drawn': decode_codes(tokenizer, dream(prior, N, styles))}
    show_rows(rows, path=args.out)


if __name__ == '__main__':
    main()

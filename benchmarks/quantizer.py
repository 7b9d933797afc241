"""The quantizer beside vector-quantize-pytorch's: forward, backward and codebook update; same vectors, one run

    pip install -e '.[bench]'
    python benchmarks/quantizer.py               # a minute or two
    python benchmarks/quantizer.py --small --out small.json     # seconds, for trying it out
"""
import argparse, statistics, time
from importlib.metadata import version

import torch
from vector_quantize_pytorch import VectorQuantize

from anime_vq_nb.quantizer_ema import VectorQuantizerEMA
from record import write_record


def ours(n_codes, dim, **kw):
    "One step of VectorQuantizerEMA"
    vq = VectorQuantizerEMA(n_codes, dim, **kw)

    def step(z):
        out = vq(z)
        (out.z_q.sum() + .25*out.commit).backward()

    return vq, step


def theirs(n_codes, dim, **kw):
    "One step of vector-quantize-pytorch's VectorQuantize: moving averages, no k-means, no revival, as ours"
    vq = VectorQuantize(dim=dim, codebook_size=n_codes, decay=.99, commitment_weight=.25, accept_image_fmap=True,
                        threshold_ema_dead_code=0, **kw)

    def step(z):
        z_q, _, loss = vq(z)
        (z_q.sum() + loss.sum()).backward()

    return vq, step


def bare(n_codes, dim):
    "The product of vectors and codes alone: no quantizer can do with less"
    codes = torch.nn.Parameter(torch.randn(n_codes, dim), requires_grad=False)
    module = torch.nn.ParameterList([codes])

    @torch.no_grad()
    def step(z):
        z.flatten(2).transpose(1, 2).reshape(-1, dim) @ module[0].T

    return module, step


def clock(step, z):
    "Seconds for one step"
    z = z.clone().requires_grad_()
    if z.is_cuda:
        torch.cuda.synchronize()
    t = time.perf_counter()
    step(z)
    if z.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - t


def compare(n_codes, dim, batch, side, rounds, device):
    "Milliseconds a step of each, in turns"
    torch.manual_seed(0)
    z = torch.randn(batch, dim, side, side, device=device)
    ways = {"product of vectors and codes alone": bare(n_codes, dim), "VectorQuantizerEMA": ours(n_codes, dim),
            "vector-quantize-pytorch, EMA": theirs(n_codes, dim)}
    for module, step in ways.values():
        module.to(device).train()
        for _ in range(3):
            clock(step, z)
    ms = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (_, step) in ways.items():
            ms[name].append(1000*clock(step, z))
    return {name: statistics.median(v) for name, v in ms.items()}


def main():
    cuda = torch.cuda.is_available()
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--rounds", type=int, default=50 if cuda else 9,
                    help="steps of each; the median counts (default: %(default)s)")
    ap.add_argument("--small", action="store_true", help="few vectors and codes, for trying it out")
    ap.add_argument("--out", default="nbs/experiments/bench-quantizer.json",
                    help="file to write (default: %(default)s)")
    args = ap.parse_args()
    device, rounds = "cuda" if cuda else "cpu", 3 if args.small else args.rounds
    dim, batch, side = (32, 2, 8) if args.small else (256, 32, 16)
    rows = []
    for n_codes in (64,) if args.small else (256, 1024, 4096, 16384):
        ms = compare(n_codes, dim, batch, side, rounds, device)
        bare_ms, ours_ms, theirs_ms = ms.values()
        faster, over = theirs_ms/ours_ms, ours_ms/bare_ms
        rows.append({"K": n_codes, **{f"{k}, ms": round(v, 3) for k, v in ms.items()},
                     "ours is faster by": round(faster, 2), "ours over the bare product": round(over, 2)})
        print(f"K {n_codes:6}   bare product {bare_ms:9.2f} ms   ours {ours_ms:9.2f} ms   "
              f"vector-quantize-pytorch {theirs_ms:9.2f} ms   ×{faster:.2f}; "
              f"ours is ×{over:.2f} the bare product", flush=True)
    write_record(args.out, torch=torch.__version__, threads=torch.get_num_threads(),
                 vector_quantize_pytorch=version("vector-quantize-pytorch"), dim=dim, vectors=batch*side*side,
                 rounds=rounds, small=args.small, rows=rows)


if __name__ == "__main__":
    main()

"""Sampling codes from both priors, beside Hugging Face `generate` with a GPT-2 of the same size: same machine, one run

    pip install -e '.[bench]'
    python benchmarks/sampling.py                # about five minutes on two cores
    python benchmarks/sampling.py --small --out small.json     # seconds, for trying it out

All have random weights, for speed does not depend on them. Codes only; the tokenizer's decoder costs the same for all.
"""
import argparse, statistics, time

import torch
from transformers import GPT2Config, GPT2LMHeadModel, __version__

from anime_vq_nb.lightning_cli import auto_precision
from anime_vq_nb.prior import ARPrior, MaskedPrior
from record import write_record


def gpt2(n_codes, side, dim, depth, heads):
    "Hugging Face's GPT-2 over as many codes, with a start token"
    return GPT2LMHeadModel(GPT2Config(vocab_size=n_codes + 1, n_positions=side*side + 1, n_embd=dim, n_layer=depth,
                                      n_head=heads, bos_token_id=n_codes, eos_token_id=None))


def competitors(size, device, dtype):
    "name → function from a number of pictures to their codes"
    peer = gpt2(**size).eval().to(device, dtype)
    ar, masked = (kind(**size).eval().to(device, dtype) for kind in (ARPrior, MaskedPrior))
    length, K = size["side"]**2, size["n_codes"]
    kw = dict(do_sample=True, top_k=0, max_new_tokens=length, min_new_tokens=length, pad_token_id=K)

    @torch.no_grad()
    def generate(n):
        start = torch.full((n, 1), K, device=device)
        return peer.generate(start, attention_mask=torch.ones_like(start), **kw)[:, 1:]

    ways = {"GPT-2, transformers generate, with cache": generate,
            "ARPrior, with cache": lambda n: ar.sample(n, batch_size=n),
            "ARPrior, without cache": lambda n: ar.sample(n, cache=False, batch_size=n)}
    ways |= {f"MaskedPrior, {s} steps": lambda n, s=s: masked.sample(n, s, batch_size=n) for s in (8, 16, 32)}
    sizes = {k: sum(p.numel() for p in m.parameters()) for k, m in dict(peer=peer, ar=ar, masked=masked).items()}
    return ways, sizes, length


def clock(f, n, device):
    "Seconds for n pictures"
    if device == "cuda":
        torch.cuda.synchronize()
    t = time.perf_counter()
    f(n)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - t


def main():
    cuda = torch.cuda.is_available()
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--batch", default="1,64,256" if cuda else "1,16",
                    help="pictures at a time, some, with commas (default: %(default)s)")
    ap.add_argument("--repeat", type=int, default=3, help="rounds; the median counts (default: %(default)s)")
    ap.add_argument("--small", action="store_true", help="a tiny model, one round, for trying it out")
    ap.add_argument("--out", default="nbs/experiments/bench-sampling.json", help="file to write (default: %(default)s)")
    args = ap.parse_args()
    size = dict(n_codes=1024, side=16, dim=384, depth=8, heads=6)
    batches, repeat = [int(b) for b in args.batch.split(",")], args.repeat
    if args.small:
        size, batches, repeat = dict(n_codes=64, side=6, dim=48, depth=2, heads=4), [2], 1
    device, dtypes = "cuda" if cuda else "cpu", [] if cuda else [torch.float32]
    if cuda or "bf16" in auto_precision():
        dtypes.append(torch.bfloat16)
    rows = []
    for dtype, n in [(d, n) for d in dtypes for n in batches]:
        torch.manual_seed(0)
        ways, sizes, length = competitors(size, device, dtype)
        precision = str(dtype).split(".")[1]
        here = {name: f for name, f in ways.items() if n <= 2 or cuda or "without" not in name}  # minutes, on a CPU
        for f in here.values():
            assert f(n).shape.numel() == n*length  # also warms up
        seconds = {name: [] for name in here}
        for _ in range(repeat):  # in turns, so that a busy moment hits all
            for name, f in here.items():
                seconds[name].append(clock(f, n, device))
        rate = {name: n/statistics.median(s) for name, s in seconds.items()}
        peer = next(iter(rate.values()))
        for name, r in rate.items():
            rows.append({"precision": precision, "batch": n, "what": name,
                         "pictures/s": float(f"{r:.3g}"), "ratio": round(r/peer, 2)})
            print(f"{precision}, batch {n:4}  {name:45} {r:9.3g} pictures/s   ×{r/peer:.2f}", flush=True)
    write_record(args.out, torch=torch.__version__, transformers=__version__, threads=torch.get_num_threads(),
                 model=size, parameters=sizes, rounds=repeat, small=args.small, rows=rows)


if __name__ == "__main__":
    main()

"""anime_vq_encode beside a bare loop over the same store, in turn, in one process; and how much memory it takes

    OMP_NUM_THREADS=1 python benchmarks/encode.py     # about twenty minutes
    python benchmarks/encode.py --n 300 --few 100 --rounds 1 --out small.json     # a minute or two, for trying it out
"""
import argparse, os, statistics, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
import torch

from anime_vq_nb.data import demo_store, normalize
from anime_vq_nb.eval import load_model
from anime_vq_nb.store import AvatarStore
from anime_vq_nb.token_files import TOKEN_FILES, read_tokens
from anime_vq_nb.tokens import encode_pictures
from record import write_record

MODEL, BATCH = "demo", 32


def bare_loop(model, store):
    "What cannot be done without: read from the mapped store, encode, keep the codes"
    codes, dev = [], next(model.parameters()).device
    for i in range(0, len(store), BATCH):
        x = torch.from_numpy(store.images[i:i+BATCH].copy()).permute(0, 3, 1, 2)
        codes.append(model.encode(normalize(x).to(dev)).cpu().numpy().astype(np.uint8))
    return np.concatenate(codes)


def seconds(f, *args):
    "What it returns, and its seconds: by the clock, and of the processor for all threads"
    t, cpu = time.perf_counter(), time.process_time()
    got = f(*args)
    return got, (time.perf_counter() - t, time.process_time() - cpu)


def bench_speed(tmp, n, rounds):
    "Whole calls, from the model's file to the token file, beside loops that find the model loaded"
    store, model, ours, bare = tmp / f"store-{n}", load_model(MODEL), {k: [] for k in TOKEN_FILES}, []
    bare_loop(model, demo_store(tmp / "first", 2 * BATCH, model.size))  # the first batches start the libraries
    for _ in range(rounds):
        for kind in TOKEN_FILES:
            codes, took = seconds(bare_loop, model, AvatarStore(store))
            bare.append(took)
            _, took = seconds(encode_pictures, MODEL, store, tmp / f"tokens{kind}")
            ours[kind].append((*took, took[0] / bare[-1][0], took[1] / bare[-1][1]))
            print(f"{kind}: {took[0]:.1f} s after {bare[-1][0]:.1f} s of the loop; of the processor "
                  f"{took[1]:.1f} s after {bare[-1][1]:.1f} s", flush=True)
            assert (read_tokens(tmp / f"tokens{kind}").codes == codes).all()
    return [row(kind, len(AvatarStore(store)), took, bare) for kind, took in ours.items()]


def row(kind, n, ours, bare):
    "A row of the record, of medians; each call is compared with the loop just before it"
    clock, cpu, times, cpu_times = (statistics.median(t) for t in zip(*ours))
    loop, loop_cpu = (statistics.median(t) for t in zip(*bare))
    r = {"kind": kind, "pictures": n, "pictures/s": round(n / clock),
         "bare loop, pictures/s": round(n / loop), "speed, of the bare loop's": round(1 / times, 3),
         "processor seconds": round(cpu, 1), "bare loop, processor seconds": round(loop_cpu, 1),
         "speed by processor seconds": round(1 / cpu_times, 3)}
    print("; ".join(f"{k}: {v}" for k, v in r.items()), flush=True)
    return r


# VmHWM, not getrusage: that would also count the process that started this one
MEMORY = """
import sys
from anime_vq_nb.tokens import encode_pictures
encode_pictures(*sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def bench_memory(tmp, sizes):
    "Peak resident memory of a process of its own, which encodes a few or many pictures; Linux only"
    rows = []
    for kind in TOKEN_FILES:
        for n in sizes:
            argv = [sys.executable, "-c", MEMORY, MODEL, tmp / f"store-{n}", tmp / f"of-{n}{kind}"]
            done = subprocess.run(argv, check=True, capture_output=True, text=True, env=os.environ)
            pictures, mb = len(AvatarStore(tmp / f"store-{n}")), int(done.stdout.split()[-1]) / 1024
            rows.append({"kind": kind, "pictures": pictures, "peak resident memory, MB": round(mb)})
            print(f"{pictures} pictures, {kind}: {mb:.0f} MB at most", flush=True)
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--n", type=int, default=10_000, help="demo avatars of 64×64 to encode")
    p.add_argument("--few", type=int, default=1000, help="demo avatars for the memory figure, beside")
    p.add_argument("--rounds", type=int, default=3, help="how often each kind of file is timed")
    p.add_argument("--out", default="nbs/experiments/bench-encode.json", help="record to write")
    args = p.parse_args()
    size, load = load_model(MODEL).size, os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        for n in (args.n, args.few):
            demo_store(tmp / f"store-{n}", n, size)
        memory = bench_memory(tmp, (args.few, args.n))
        speed = bench_speed(tmp, args.n, args.rounds)
    write_record(args.out, threads=torch.get_num_threads(), torch=torch.__version__, model=MODEL, size=size,
                 batch_size=BATCH, rounds=args.rounds, small=args.n < 10_000,
                 load={"before": round(load, 2), "after": round(os.getloadavg()[0], 2)}, rows=speed, memory=memory)


if __name__ == "__main__":
    main()

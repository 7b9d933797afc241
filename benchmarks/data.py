"""Preparing pictures and reading them in training, beside what else one could pick: same files, same machine, one run

    python benchmarks/data.py                 # about eight minutes on two cores
    python benchmarks/data.py --n 64 --many 400 --twins 4000 --out small.json     # seconds, for trying it out
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from anime_vq_nb.data import AnimeDataModule, demo_avatars
from anime_vq_nb.duplicates import find_twins
from anime_vq_nb.pictures import GRID
from anime_vq_nb.prepare import prepare, sort_out
from anime_vq_nb.store import cores
from anime_vq_nb.runs import git_commit, hardware

SIZE, BATCH, WORKERS = 256, 32, cores()


def raw_pictures(folder, n):
    "Demo avatars as they might be scraped: 1024×1024, a third each JPEG, PNG and WebP"
    for i, f in enumerate(sorted(demo_avatars(folder, n, 1024).glob("*.png"))):
        if i % 3:
            Image.open(f).convert("RGB").save(f.with_suffix((".jpg", ".webp")[i % 3 - 1]), quality=90)
            f.unlink()
    (folder / "manifest.csv").unlink()
    return folder


# each timed in a process of its own, imports not counted, as a user would run it: memory that one of them keeps would help the other
PLAIN = """
import sys, time
from pathlib import Path
import numpy as np
from PIL import Image
from torchvision.transforms import v2
files, resize = sorted(p for p in Path(sys.argv[1]).rglob("*") if p.is_file()), v2.Resize((int(sys.argv[3]),)*2, antialias=True)
t = time.perf_counter()
for f in files: np.asarray(resize(Image.open(f).convert("RGB")))
print(time.perf_counter() - t)
"""
OURS = """
import sys, time
from anime_vq_nb.prepare import prepare
t = time.perf_counter()
prepare(sys.argv[1], sys.argv[2], int(sys.argv[3]))
print(time.perf_counter() - t)
"""
KEEP = dict(MALLOC_MMAP_THRESHOLD_=str(1 << 25), MALLOC_TRIM_THRESHOLD_=str(1 << 28))  # glibc then keeps the memory of one picture for the next


def alone(code, folder, dst, **env):
    "Seconds that the code prints"
    done = subprocess.run([sys.executable, "-c", code, folder, dst, str(SIZE)], check=True, capture_output=True, text=True, env=os.environ | env)
    shutil.rmtree(dst, ignore_errors=True)
    return float(done.stdout.split()[-1])


def seconds(f):
    t = time.perf_counter()
    f()
    return time.perf_counter() - t


def bench_prepare(tmp, what, folder):
    n, dst, plain = sum(p.is_file() for p in folder.rglob("*")), tmp / "prepared", "PIL open → torchvision resize, one process"
    ours, other, kept = zip(*[(alone(OURS, folder, dst), alone(PLAIN, folder, dst), alone(PLAIN, folder, dst, **KEEP)) for _ in range(5)])  # in turn, so that a drift of the machine meets all
    return [row(f"prepare: {what}", beside, n, ours, t) for beside, t in ((plain, other), (plain + ", told to keep freed memory", kept))]


def row(what, beside, n, ours, other):
    ours, other = (statistics.median(t) for t in (ours, other))
    print(f"{what}: {n / ours:.0f} pictures a second, {beside}: {n / other:.0f}, ratio {other / ours:.2f}", flush=True)
    return {"what": what, "pictures": n, "pictures/s": round(n / ours), "beside": beside, "its pictures/s": round(n / other), "ratio": round(other / ours, 2)}


def epochs(loader, n=4):
    "Seconds of each epoch after the first, which starts the workers and fills the cache"
    return [seconds(lambda: [None for _ in loader]) for _ in range(n)][1:]


def folder_loader(folder):
    tfm = v2.Compose([v2.Resize((SIZE, SIZE), antialias=True), v2.ToImage(), v2.RandomHorizontalFlip(), v2.ColorJitter(.1, .1, .1),
                      v2.ToDtype(torch.float32, scale=True), v2.Normalize([.5]*3, [.5]*3)])
    return DataLoader(ImageFolder(folder, tfm), BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True)


def bench_epoch(tmp, n):
    "The same pictures through ImageFolder, as they came and as 256×256 JPEGs, and through the store"
    store = prepare(tmp / "raw", tmp / "epoch", SIZE, near=-1)
    small = tmp / "small" / "all"
    small.mkdir(parents=True)
    for i, x in enumerate(store.images):
        Image.fromarray(x).save(small / f"{i:06d}.jpg", quality=95)
    (tmp / "folder").mkdir()
    (tmp / "folder" / "all").symlink_to(tmp / "raw")
    dm = AnimeDataModule(tmp / "epoch", SIZE, BATCH, val_frac=.1)
    dm.setup()
    ours, k = epochs(dm.train_dataloader()), len(dm.train_ds) // BATCH * BATCH
    ours = [t * n / k for t in ours]  # seconds for n pictures
    return [row("training epoch from the store", f"ImageFolder, {what}", n, ours, [t * n / (n // BATCH * BATCH) for t in epochs(folder_loader(folder))])
            for what, folder in {"1024×1024 files": tmp / "folder", "256×256 JPEGs": tmp / "small"}.items()]


# VmHWM, not getrusage: that would also count the process that started this one
MEMORY = """
import sys
from anime_vq_nb.prepare import prepare
prepare(sys.argv[1], sys.argv[2], 64)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def bench_memory(tmp, many):
    "Peak resident memory of a process that prepares a few and many small pictures; Linux only"
    g, rows, folder = np.random.default_rng(0), [], tmp / "many"
    for n in sorted({min(1000, many), many}):
        (folder / str(n)).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(g.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((64, 64), Image.BICUBIC).save(folder / str(n) / f"{i:06d}.jpg")
        t = time.perf_counter()
        out = subprocess.run([sys.executable, "-c", MEMORY, folder / str(n), tmp / f"store-{n}"], check=True, capture_output=True, text=True).stdout
        mb = int(out.split()[-1]) / 1024
        rows.append({"what": "prepare: peak resident memory", "pictures": n, "MB": round(mb)})
        print(f"{n} pictures of 64×64: {mb:.0f} MB at most, {time.perf_counter() - t:.0f} s", flush=True)
    return rows


def bench_twins(n):
    "Duplicates among pictures that have nothing to do with each other, and among families of twenty"
    g, rows = np.random.default_rng(0), []
    def records(bits, path):
        words = [[h.tobytes().hex() for h in np.packbits(b, axis=1)] for b in (bits, g.random((len(bits), 256)) < .5)]
        return [dict(path=f"{path}{i}", pixels_in="journal", width=9, height=9, sha256=f"{path}{i}", key=f"{path}{i}", phash=h, mirror=m, colour="80"*2*GRID**2) for i, (h, m) in enumerate(zip(*words))]
    alone, few = records(g.random((n, 256)) < .5, ""), g.random((n // 20, 256)) < .5
    family = [r for k in range(20) for r in records(few ^ (g.random(few.shape) < .02), f"{k}-")]
    for what, some in {"unrelated": alone, "families of twenty": family}.items():
        for name, f in dict(find_twins=find_twins, sort_out=lambda r: sort_out([dict(x) for x in r], None)).items():
            t = min(seconds(lambda: f(some)) for _ in range(3))
            rows.append({"what": f"{name}: {what}", "pictures": len(some), "seconds": round(t, 1)})
            print(f"{name}, {len(some)} pictures, {what}: {t:.1f} s", flush=True)
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--n", type=int, default=900, help="demo avatars to prepare and to read")
    p.add_argument("--many", type=int, default=50_000, help="small pictures for the memory figure")
    p.add_argument("--twins", type=int, default=50_000, help="hashes to compare")
    p.add_argument("--faces", help="also prepare this folder of pictures of your own")
    p.add_argument("--name", default="own pictures", help="what they are, for the record")
    p.add_argument("--out", default="nbs/experiments/bench-data.json", help="record to write")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        rows = bench_prepare(tmp, "demo avatars, 1024×1024 JPEG, PNG, WebP", raw_pictures(tmp / "raw", args.n))
        if args.faces:
            rows += bench_prepare(tmp, args.name, Path(args.faces))
        rows += bench_epoch(tmp, args.n)
        rows += bench_memory(tmp, args.many)
        rows += bench_twins(args.twins)
    command = "python benchmarks/data.py" + "".join(f" --{k} {getattr(args, k)}" for k in ("n", "many", "twins") if getattr(args, k) != p.get_default(k)) + (f" --faces FOLDER --name '{args.name}'" if args.faces else "")
    record = dict(command=command, commit=git_commit(), date=str(date.today()), hardware=hardware(), workers=WORKERS, batch_size=BATCH, size=SIZE, rows=rows)
    Path(args.out).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

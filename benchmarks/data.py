"""Preparing pictures and reading them in training, beside what else one could pick: same files, same machine, one run

    python benchmarks/data.py                 # about eight minutes on two cores
    python benchmarks/data.py --n 64 --many 400 --twins 4000 --out small.json     # seconds, for trying it out
"""
import argparse, os, shutil, statistics, subprocess, sys, tempfile, time
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
from record import write_record

SIZE, BATCH, WORKERS = 256, 32, cores()


def raw_pictures(folder, n):
    "Demo avatars as they might be scraped: 1024×1024, a third each JPEG, PNG and WebP"
    for i, f in enumerate(sorted(demo_avatars(folder, n, 1024).glob("*.png"))):
        if i % 3:
            Image.open(f).convert("RGB").save(f.with_suffix((".jpg", ".webp")[i % 3 - 1]), quality=90)
            f.unlink()
    (folder / "manifest.csv").unlink()
    return folder


# Each is timed in a process of its own, imports not counted, as a user would run it:
# memory that one of them keeps would help the other.
PLAIN = """
import sys, time
from pathlib import Path
import numpy as np
from PIL import Image
from torchvision.transforms import v2
files = sorted(p for p in Path(sys.argv[1]).rglob("*") if p.is_file())
resize = v2.Resize((int(sys.argv[3]),)*2, antialias=True)
t = time.perf_counter()
for f in files:
    np.asarray(resize(Image.open(f).convert("RGB")))
print(time.perf_counter() - t)
"""
OURS = """
import sys, time
from anime_vq_nb.prepare import prepare
t = time.perf_counter()
prepare(sys.argv[1], sys.argv[2], int(sys.argv[3]))
print(time.perf_counter() - t)
"""
# glibc then keeps the memory of one picture for the next
KEEP = dict(MALLOC_MMAP_THRESHOLD_=str(1 << 25), MALLOC_TRIM_THRESHOLD_=str(1 << 28))


def printed(code, *argv, **env):
    "The last word that the code prints, in a process of its own"
    argv = [sys.executable, "-c", code, *argv]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=os.environ | env)
    return done.stdout.split()[-1]


def alone(code, folder, dst, **env):
    "Seconds that the code prints"
    took = printed(code, folder, dst, str(SIZE), **env)
    shutil.rmtree(dst, ignore_errors=True)
    return float(took)


def seconds(f):
    t = time.perf_counter()
    f()
    return time.perf_counter() - t


def bench_prepare(tmp, what, folder):
    "Our preparation beside a bare loop, which keeps nothing, and the same loop with its memory kept"
    n, dst = sum(p.is_file() for p in folder.rglob("*")), tmp / "prepared"
    ours, plain, kept = [], [], []
    for _ in range(5):  # in turn, so that a drift of the machine meets all
        ours.append(alone(OURS, folder, dst))
        plain.append(alone(PLAIN, folder, dst))
        kept.append(alone(PLAIN, folder, dst, **KEEP))
    loop = "PIL open → torchvision resize, one process"
    others = {loop: plain, f"{loop}, told to keep freed memory": kept}
    return [row(f"prepare: {what}", beside, n, ours, t) for beside, t in others.items()]


def row(what, beside, n, ours, other):
    "A row of the record: n pictures, in the median of these seconds"
    ours, other = (statistics.median(t) for t in (ours, other))
    print(f"{what}: {n / ours:.0f} pictures a second, {beside}: {n / other:.0f}, ratio {other / ours:.2f}", flush=True)
    return {"what": what, "pictures": n, "pictures/s": round(n / ours),
            "beside": beside, "its pictures/s": round(n / other), "ratio": round(other / ours, 2)}


def epochs(loader, n=4):
    "Seconds of each epoch after the first, which starts the workers and fills the cache"
    return [seconds(lambda: [None for _ in loader]) for _ in range(n)][1:]


def folder_loader(folder):
    "torchvision's ImageFolder with the augmentations of ours"
    tfm = v2.Compose([v2.Resize((SIZE, SIZE), antialias=True), v2.ToImage(),
                      v2.RandomHorizontalFlip(), v2.ColorJitter(.1, .1, .1),
                      v2.ToDtype(torch.float32, scale=True), v2.Normalize([.5]*3, [.5]*3)])
    kw = dict(shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True)
    return DataLoader(ImageFolder(folder, tfm), BATCH, **kw)


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

    def for_all(loader, pictures):
        "Seconds of each epoch, for n pictures"
        k = pictures // BATCH * BATCH
        return [t * n / k for t in epochs(loader)]

    ours = for_all(dm.train_dataloader(), len(dm.train_ds))
    folders = {"1024×1024 files": tmp / "folder", "256×256 JPEGs": tmp / "small"}
    return [row("training epoch from the store", f"ImageFolder, {what}", n, ours, for_all(folder_loader(folder), n))
            for what, folder in folders.items()]


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
            noise = Image.fromarray(g.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            noise.resize((64, 64), Image.BICUBIC).save(folder / str(n) / f"{i:06d}.jpg")
        t = time.perf_counter()
        mb = int(printed(MEMORY, folder / str(n), tmp / f"store-{n}")) / 1024
        rows.append({"what": "prepare: peak resident memory", "pictures": n, "MB": round(mb)})
        print(f"{n} pictures of 64×64: {mb:.0f} MB at most, {time.perf_counter() - t:.0f} s", flush=True)
    return rows


def bench_twins(n):
    "Duplicates among pictures that have nothing to do with each other, and among families of twenty"
    g, rows = np.random.default_rng(0), []
    same = dict(pixels_in="journal", width=9, height=9, colour="80"*2*GRID**2)

    def hashes(bits):
        return [h.tobytes().hex() for h in np.packbits(bits, axis=1)]

    def records(bits, path):
        pairs = zip(hashes(bits), hashes(g.random((len(bits), 256)) < .5))
        names = (dict.fromkeys(("path", "sha256", "key"), f"{path}{i}") for i in range(len(bits)))
        return [name | same | dict(phash=h, mirror=m) for name, (h, m) in zip(names, pairs)]

    unrelated, few = records(g.random((n, 256)) < .5, ""), g.random((n // 20, 256)) < .5
    family = [r for k in range(20) for r in records(few ^ (g.random(few.shape) < .02), f"{k}-")]
    ways = dict(find_twins=find_twins, sort_out=lambda some: sort_out([dict(r) for r in some], None))
    for what, some in {"unrelated": unrelated, "families of twenty": family}.items():
        for name, f in ways.items():
            t = min(seconds(lambda: f(some)) for _ in range(3))
            rows.append({"what": f"{name}: {what}", "pictures": len(some), "seconds": round(t, 1)})
            print(f"{name}, {len(some)} pictures, {what}: {t:.1f} s", flush=True)
    return rows


def shown(args, parser):
    "The command for the record: what differs from the defaults, and no path of one's own"
    changed = {k: getattr(args, k) for k in ("n", "many", "twins") if getattr(args, k) != parser.get_default(k)}
    options = [f"--{k} {v}" for k, v in changed.items()]
    if args.faces:
        options.append(f"--faces FOLDER --name '{args.name}'")
    return " ".join(["python benchmarks/data.py", *options])


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
    write_record(args.out, command=shown(args, p), workers=WORKERS, batch_size=BATCH, size=SIZE, rows=rows)


if __name__ == "__main__":
    main()

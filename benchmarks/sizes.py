"""Memory of anime_vq_reconstruct --fit keep on large pictures, by the model of vqvae_anime with random weights

    OMP_NUM_THREADS=1 python benchmarks/sizes.py     # five minutes of a slow core; Linux only
    python benchmarks/sizes.py --few --out small.json     # the first two rows
"""
import argparse, inspect, subprocess, sys, tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anime_vq_nb.data import demo_avatar, demo_style
from anime_vq_nb.decoder import VQVAE, whole_levels
from anime_vq_nb.lightning_cli import find_config, read_config
from record import write_record

ROWS = (256, 256, 2.0), (1024, 768, 2.0), (1024, 768, 0.5)  # width, height, memory_gb
# VmHWM, not getrusage: that would also count the process that started this one
MEASURED = """
import sys
from anime_vq_nb.tokens import reconstruct
model, picture, out, memory_gb = sys.argv[1:]
reconstruct(model, picture, out, fit="keep", alone=True, memory_gb=float(memory_gb))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def make_model():
    "The architecture of vqvae_anime; attention, which starts as the identity, does something"
    known = inspect.signature(VQVAE).parameters
    torch.manual_seed(0)
    model = VQVAE(**{k: v for k, v in read_config(find_config("vqvae_anime"))["model"].items() if k in known})
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01 * torch.randn_like(p))
    return model.eval()


def measure(tmp, model, width, height, memory_gb):
    "A row: peak resident memory of a process of its own, and what it wrote"
    name, out = f"{width}x{height}", tmp / f"{width}-{memory_gb}"
    drawn = demo_avatar(demo_style("adventurer")[0], "0-0", max(width, height))
    drawn.convert("RGB").crop((0, 0, width, height)).save(tmp / f"{name}.png")
    argv = [sys.executable, "-c", MEASURED, tmp / "model", tmp / f"{name}.png", out, memory_gb]
    done = subprocess.run(map(str, argv), check=True, capture_output=True, text=True)
    whole = {k: whole_levels(getattr(model, k), width * height, memory_gb) for k in ("encoder", "decoder")}
    row = dict(width=width, height=height, memory_gb=memory_gb, levels=len(model.encoder.levels), whole=whole,
               peak_gb=round(int(done.stdout.split()[-1]) * 1024 / 1e9, 2))
    print(row, flush=True)
    return row, np.asarray(Image.open(out / f"{name}.png")).astype(int)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", action="store_true")
    parser.add_argument("--out", default=Path(__file__).parent.parent / "nbs/experiments/bench-sizes.json")
    args, pictures = parser.parse_args(), {}
    with tempfile.TemporaryDirectory() as folder:
        tmp, model, rows = Path(folder), make_model(), []
        model.save_pretrained(tmp / "model")
        for width, height, memory_gb in ROWS[: 2 if args.few else None]:
            row, picture = measure(tmp, model, width, height, memory_gb)
            if width in pictures:
                row["levels of 255 from the whole"] = int(np.abs(picture - pictures[width]).max())
            pictures.setdefault(width, picture)
            rows.append(row)
    write_record(args.out, torch=torch.__version__, threads=torch.get_num_threads(), rows=rows)

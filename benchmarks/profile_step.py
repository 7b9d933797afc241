"""Where the time of a training step goes: PyTorch's profiler over a few steps of both phases, the share of each operation

    python benchmarks/profile_step.py              # the full model; on a GPU batch 32, on a CPU batch 2
    python benchmarks/profile_step.py --small --out small.json     # seconds, for trying it out

VGG16 has random weights here: speed does not depend on them.
"""
import argparse, json, logging, sys, tempfile, warnings
from collections import Counter
from datetime import date
from pathlib import Path

import lightning as L
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader
from torchvision.models.vgg import cfgs, make_layers

from anime_vq_nb.commands import auto_precision
from anime_vq_nb.runs import git_commit, hardware
from train_step import FULL, SMALL, make_model

KINDS = {  # part of an operation's name → what to call it; the first that fits
    "convolution_backward": "convolutions, backward", "conv": "convolutions, forward", "group_norm": "normalization", "batch_norm": "normalization", "silu": "activations", "relu": "activations",
    "max_pool": "pooling and upsampling", "avg_pool": "pooling and upsampling", "upsample": "pooling and upsampling", "attention": "attention", "flash": "attention", "addmm": "matrix products", "bmm": "matrix products", "mm": "matrix products",
    "adam": "optimizer", "copy_": "copies and changes of type", "_to_copy": "copies and changes of type", "cat": "copies and changes of type", "clone": "copies and changes of type",
}


class Profile(L.Callback):
    "The profiler, over all steps but the first two"
    def __init__(self): self.prof = profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA]*torch.cuda.is_available())
    def on_train_batch_start(self, trainer, module, batch, i):
        if i == 2: self.prof.start()
    def on_train_end(self, trainer, module): self.prof.stop()


def shares(prof):
    "Kind → share of the time of all operations, the largest first"
    cuda, total = torch.cuda.is_available(), Counter()
    for e in prof.key_averages():
        if not e.key.startswith(("aten::", "mkldnn")) and "adam" not in e.key.lower(): continue
        name = next((v for k, v in KINDS.items() if k in e.key.lower()), "all else")
        total[name] += e.self_device_time_total if cuda else e.self_cpu_time_total
    return {k: round(v/sum(total.values()), 4) for k, v in total.most_common()}


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel("ERROR")
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--batch", type=int, default=32 if torch.cuda.is_available() else 2, help="pictures a step (default: %(default)s)")
    ap.add_argument("--small", action="store_true", help="a tiny model, for trying it out")
    ap.add_argument("--out", default="nbs/experiments/bench-profile.json", help="file to write (default: %(default)s)")
    args = ap.parse_args()
    (size, plan), precision, rows = (32, SMALL) if args.small else (256, FULL), auto_precision(), []
    with tempfile.TemporaryDirectory() as tmp:
        vgg = f"{tmp}/vgg.pth"
        torch.save({f"features.{k}": v for k, v in make_layers(cfgs["D"]).state_dict().items()}, vgg)
        for phase in (1, 2):
            torch.manual_seed(0)
            watch = Profile()
            trainer = L.Trainer(max_steps=5 if phase == 1 else 10, precision=precision, devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                                callbacks=[watch], default_root_dir=tmp, limit_val_batches=0, gradient_clip_val=1. if phase == 1 else None)  # phase 2 has two optimizers, and Lightning counts the steps of both
            trainer.fit(make_model(phase, False, size, plan, vgg), DataLoader(torch.rand(5*args.batch, 3, size, size)*2 - 1, args.batch))
            rows.append(dict(phase=phase, shares=shares(watch.prof)))
            print(rows[-1], flush=True)
    record = dict(command="python " + " ".join(sys.argv), commit=git_commit(), date=date.today().isoformat(), hardware=hardware(), torch=torch.__version__, threads=torch.get_num_threads(),
                  precision=precision, size=size, batch=args.batch, small=args.small, rows=rows)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    Path(args.out).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()

"""Where the time of a training step goes: PyTorch's profiler over a few steps of both phases

    python benchmarks/profile_step.py              # the full model; on a GPU batch 32, on a CPU batch 2
    python benchmarks/profile_step.py --small --out small.json     # seconds, for trying it out

VGG16 has random weights here: speed does not depend on them.
"""
import argparse, logging, tempfile, warnings
from collections import Counter

import lightning as L
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

from anime_vq_nb.lightning_cli import auto_precision
from record import write_record
from train_step import FULL, QUIET, SMALL, make_model, random_vgg

KINDS = {  # part of an operation's name → what to call it; the first that fits
    "convolution_backward": "convolutions, backward",
    "conv": "convolutions, forward",
    **dict.fromkeys(("group_norm", "batch_norm"), "normalization"),
    **dict.fromkeys(("silu", "relu"), "activations"),
    **dict.fromkeys(("max_pool", "avg_pool", "upsample"), "pooling and upsampling"),
    **dict.fromkeys(("attention", "flash"), "attention"),
    **dict.fromkeys(("addmm", "bmm", "mm"), "matrix products"),
    "adam": "optimizer",
    **dict.fromkeys(("copy_", "_to_copy", "cat", "clone"), "copies and changes of type"),
}


class Profile(L.Callback):
    "The profiler, over all steps but the first two"
    def __init__(self):
        cuda = [ProfilerActivity.CUDA]*torch.cuda.is_available()
        self.prof = profile(activities=[ProfilerActivity.CPU, *cuda])

    def on_train_batch_start(self, trainer, module, batch, i):
        if i == 2:
            self.prof.start()

    def on_train_end(self, trainer, module):
        self.prof.stop()


def shares(prof):
    "Kind → share of the time of all operations, the largest first"
    cuda, total = torch.cuda.is_available(), Counter()
    for e in prof.key_averages():
        if e.device_type != DeviceType.CPU:
            continue  # a kernel, whose time its operation has, too
        if not e.key.startswith(("aten::", "mkldnn")) and "adam" not in e.key.lower():
            continue
        name = next((v for k, v in KINDS.items() if k in e.key.lower()), "all else")
        total[name] += e.self_device_time_total if cuda else e.self_cpu_time_total
    return {k: round(v/sum(total.values()), 4) for k, v in total.most_common()}


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel("ERROR")
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--batch", type=int, default=32 if torch.cuda.is_available() else 2,
                    help="pictures a step (default: %(default)s)")
    ap.add_argument("--small", action="store_true", help="a tiny model, for trying it out")
    ap.add_argument("--out", default="nbs/experiments/bench-profile.json", help="file to write (default: %(default)s)")
    args = ap.parse_args()
    (size, plan), precision, rows = (32, SMALL) if args.small else (256, FULL), auto_precision(), []
    with tempfile.TemporaryDirectory() as tmp:
        vgg = random_vgg(tmp)
        for phase in (1, 2):
            torch.manual_seed(0)
            watch = Profile()
            trainer = L.Trainer(max_epochs=1, precision=precision, callbacks=[watch], default_root_dir=tmp,
                                gradient_clip_val=1. if phase == 1 else None, **QUIET)
            pictures = torch.rand(5*args.batch, 3, size, size)*2 - 1
            trainer.fit(make_model(phase, False, size, plan, vgg), DataLoader(pictures, args.batch))
            rows.append(dict(phase=phase, shares=shares(watch.prof)))
            print(rows[-1], flush=True)
    write_record(args.out, torch=torch.__version__, threads=torch.get_num_threads(), precision=precision,
                 size=size, batch=args.batch, small=args.small, rows=rows)


if __name__ == "__main__":
    main()

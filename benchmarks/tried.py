"""What was tried: one small training for each choice that is open, or with each quantizer; all else equal

    python benchmarks/tried.py choices       # K, D, commitment, decay, start, revival, …: an hour and more on 2 cores
    python benchmarks/tried.py quantizers --data STORE      # beside vector-quantize-pytorch's; pip install -e '.[vqp]'
    python benchmarks/tried.py choices --steps 4 --n 96 --only usual --out small.json      # seconds, for trying it out

Each row is a run of anime_vq_train, and its command stands in the record. What is done is kept: run it again to go on.
`--vgg FILE` adds the perceptual distance, with the name of its weights.
"""
import argparse, json, shlex, subprocess, sys
from datetime import date
from pathlib import Path

import torch
import yaml

from anime_vq_nb.data import AnimeDataModule
from anime_vq_nb.eval import evaluate, held_out, load_model
from anime_vq_nb.losses import PerceptualLoss
from anime_vq_nb.runs import git_commit, hardware

USUAL = {"model.n_codes": 1024, "model.dim": 32, "model.decay": .99, "model.kmeans_images": 1000,
         "model.w_commit": .25}
CHOICES = {  # name → (what it is about, what is different)
    "usual": ("K 1024, D 32, commitment 0.25, decay 0.99, k-means, revival by error, no perceptual loss, tanh, "
              "no attention, GroupNorm, jitter 0.1", {}),
    "usual, seed 1": ("the same", {"seed_everything": 1}),
    "usual, seed 2": ("the same", {"seed_everything": 2}),
    "K 512": ("codes", {"model.n_codes": 512}),
    "K 2048": ("codes", {"model.n_codes": 2048}),
    "D 256": ("code dimension", {"model.dim": 256}),
    "D 8": ("code dimension", {"model.dim": 8}),
    "commitment 0.5": ("commitment", {"model.w_commit": .5}),
    "decay 0.95": ("decay of the codes' averages", {"model.decay": .95}),
    "decay 0.999": ("decay of the codes' averages", {"model.decay": .999}),
    "no k-means": ("start of the codes", {"model.kmeans_images": 0}),
    "no revival": ("revival", {"model.revive": 0}),
    "revival, uniform": ("revival", {"model.revive_by": "uniform"}),
    "no k-means, no revival": ("start and revival", {"model.kmeans_images": 0, "model.revive": 0}),
    "linear end": ("the decoder's end", {"model.end": "linear"}),
    "attention at 16": ("attention", {"model.attn_at": "[16]"}),
    "BatchNorm": ("normalization", {"model.norm": "batch"}),
    "no jitter": ("colour jitter", {"data.jitter": 0}),
    "crops from 0.8": ("random crops", {"data.crop": .8}),
    "cosine codes": ("cosine", {"model.cosine": "true"}),
    "rotation trick": ("gradient through the quantizer", {"model.rotation": "true"}),
    "perceptual 0.5": ("perceptual loss", {"model.w_perc": .5}),
    "perceptual 1.0": ("perceptual loss", {"model.w_perc": 1.}),
}


def foreign(kind, **how):
    "A quantizer of vector-quantize-pytorch: options, as YAML where there are some"
    args = {"model.quantizer_args": yaml.safe_dump(how, default_flow_style=True, width=1000).strip()} if how else {}
    return {"model.revive": 0, "model.kmeans_images": 0, "model.quantizer": kind} | args


QUANTIZERS = {
    "ours": ("VectorQuantizerEMA, revival by error", {}),
    "ours, no revival": ("VectorQuantizerEMA", {"model.revive": 0}),
    "vector-quantize-pytorch EMA": (
        "VectorQuantize with k-means and its own revival",
        foreign("VectorQuantize", decay=.99, kmeans_init=True, threshold_ema_dead_code=2)),
    "vector-quantize-pytorch cosine": (
        "VectorQuantize, cosine, with k-means and its own revival",
        foreign("VectorQuantize", decay=.99, kmeans_init=True, threshold_ema_dead_code=2, use_cosine_sim=True)),
    "SimVQ": ("SimVQ", foreign("SimVQ")),
    "FSQ": ("FSQ, levels 4×4×4×4×4", foreign("FSQ", levels=[4, 4, 4, 4, 4])),
    "gradient codebook": ("codes trained by gradient", {"model.ema": "false", "model.revive": 0}),
}


def train(name, change, args, run):
    "Train one row; its command"
    options = {
        "config": "demo", "run.out": run.parent, "run.name": run.name, "trainer.enable_progress_bar": "false",
        "seed_everything": 0, "trainer.max_steps": args.steps, "trainer.val_check_interval": args.steps,
        "data.data": args.data, "data.n_demo": args.n, "data.crop": args.crop, **USUAL, **change,
    }
    if "model.w_perc" in change:
        options["model.perc_weights"] = args.vgg
    argv = ["anime_vq_train", "fit"]
    for k, v in options.items():
        argv += [f"--{k}", str(v)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: {shlex.join(argv)} failed:\n{done.stderr[-2000:]}")
    return shlex.join(argv)


def measured(folder, ds, perc):
    "What a run reached"
    got = evaluate(load_model(folder), ds, perc)["metrics"]
    fit = json.loads((folder/"record.json").read_text(encoding="utf-8"))
    keep = ("L1", "PSNR", "SSIM", "usage", "perplexity", perc and perc.name)
    numbers = {k: round(v, 4) for k, v in got.items() if k in keep}
    return numbers | dict(seconds=round(60*fit["minutes"]), held_out=fit["data"]["held_out"])


def opened(out, setting):
    "The record so far, or a new one"
    if not out.is_file():
        return dict(setting, command="python " + " ".join(sys.argv), hardware=hardware(),
                    threads=torch.get_num_threads(), torch=torch.__version__, rows=[])
    record = json.loads(out.read_text(encoding="utf-8"))
    if {k: record[k] for k in setting} != setting:
        sys.exit(f"{out} holds runs of another setting; remove it, or name another with --out")
    return record


def parse():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("what", choices=("choices", "quantizers"))
    ap.add_argument("--data", default="demo", help="a store of 64×64, or demo (default: %(default)s)")
    ap.add_argument("--name", default="demo avatars",
                    help="what to call the data in the record (default: %(default)s)")
    ap.add_argument("--n", type=int, default=2000, help="demo avatars (default: %(default)s)")
    ap.add_argument("--crop", type=float, default=1.,
                    help="smallest part that is cut out in training (default: %(default)s)")
    ap.add_argument("--steps", type=int, default=1000, help="of each run (default: %(default)s)")
    ap.add_argument("--vgg", default="",
                    help="file with VGG16's weights, or torchvision, for the perceptual distance and its loss; "
                         "without it rows that train with it are left out")
    ap.add_argument("--only", default="", help="some rows, with commas")
    ap.add_argument("--out", default="", help="file to write (default: nbs/experiments/tried-WHAT.json)")
    return ap.parse_args()


def main():
    args = parse()
    out = Path(args.out or f"nbs/experiments/tried-{args.what}.json")
    rows = dict(choices=CHOICES, quantizers=QUANTIZERS)[args.what]
    perc = PerceptualLoss(args.vgg) if args.vgg else None
    n = args.n if args.data == "demo" else None
    record = opened(out, dict(steps=args.steps, data=args.name, n=n, crop=args.crop))
    dm = AnimeDataModule(args.data, 64, n_demo=args.n)
    dm.prepare_data()
    ds = held_out(dm.store_path, 64)
    done, only = {r["name"] for r in record["rows"]}, args.only.split(",") if args.only else rows
    for i, (name, (about, change)) in enumerate(rows.items()):
        if name in done or name not in only or "model.w_perc" in change and not perc:
            continue
        run = Path("runs")/f"tried-{args.what}"/f"{i:02d}"
        command = train(name, change, args, run)
        folder = max(run.iterdir(), key=lambda p: int(p.name))
        row = dict(name=name, about=about, **measured(folder, ds, perc), command=command, commit=git_commit(),
                   date=date.today().isoformat())
        record["rows"].append(row)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print({k: v for k, v in row.items() if k not in ("about", "command")}, flush=True)
    print(f"{len(record['rows'])} rows in {out}")


if __name__ == "__main__":
    main()

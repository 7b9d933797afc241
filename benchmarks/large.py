"""The largest run that two processor cores make in an hour, measured and put on a page

    python benchmarks/large.py --vgg vgg16.pth       # an hour, and some twenty minutes to measure
    python benchmarks/large.py --vgg vgg16.pth --n 300 --steps 8 4 --out small      # a minute or two, for trying it out

Phase 1 with a perceptual loss, then phase 2, at 128×128. Both are runs of anime_vq_train, and their commands stand in
the record. A training that is done is not done again: remove its folder in runs/ to repeat it.
"""
import argparse, json, shlex, subprocess, sys
from pathlib import Path

import pandas as pd
import torch

from anime_vq_nb.compare import compare, reconstructed
from anime_vq_nb.data import show_rows, shuffled
from anime_vq_nb.eval import VGGFeatures, held_out, load_checkpoint, load_model
from anime_vq_nb.losses import PerceptualLoss
from record import write_record

CURVES = ("train/perplexity", "train/moving_perplexity",
          "val/psnr", "val/perc", "val/usage", "val/perplexity", "val/sharpness")


def argv_of(phase, args):
    "The command of a phase"
    return ["anime_vq_train", "fit", *(word for k, v in options_of(phase, args).items() for word in (f"--{k}", v))]


def options_of(phase, args):
    "What a phase is told: option → value"
    steps = args.steps[phase - 1]
    both = {
        "data.size": "128", "data.n_demo": str(args.n), "data.batch_size": "8",
        "model.ch": "[32,64,128]", "model.n_codes": "512", "model.w_perc": "0.5", "model.perc_weights": args.vgg,
        "trainer.precision": "bf16-mixed", "trainer.limit_val_batches": "64",
    }
    if phase == 1:
        run = {"config": "benchmarks/today.yaml", "run.name": args.name, "run.ckpt_every": "500"}
        own = {"model.decay": "0.99", "model.kmeans_images": "1000", "model.lr": "1e-3", "model.warmup": "100"}
        validations = 12
    else:
        run = {"config": "benchmarks/today_gan.yaml", "run.name": f"{args.name}-gan", "run.ckpt_every": "300"}
        own = {"model.init_from": f"runs/{args.name}/0/checkpoints/best-perc.ckpt", "model.w_gan": "0.1",
               "model.d_layers": "3", "model.lr": "2e-4", "model.lr_d": "3e-4"}
        validations = 4
    every = max(1, steps//validations)
    return run | both | own | {"trainer.max_steps": str(steps), "trainer.val_check_interval": str(every)}


def curves(run, most=200):
    "What was logged: name → [step, value], thinned to `most` points"
    log = pd.read_csv(run/"metrics.csv")
    lines = {k: log[["step", k]].dropna().to_numpy().tolist() for k in CURVES if k in log}
    return {k: [[int(s), float(f"{v:.4g}")] for s, v in rows[::max(1, len(rows)//most)]] for k, rows in lines.items()}


def train(args, runs):
    "Train what is not trained yet"
    for phase, run in enumerate(runs, 1):
        if (run/"record.json").is_file():
            continue
        argv = argv_of(phase, args)
        print(shlex.join(argv), flush=True)
        if subprocess.run(argv).returncode:
            sys.exit(f"phase {phase} did not finish; remove {run.parent} and run this again")


def times(args, run, models, ds):
    "The same held-out avatars at some times of the training: name → pictures"
    x = torch.stack([ds[i] for i in sorted(shuffled(len(ds))[:8])])
    early = sorted((run/"checkpoints").glob("step-*.ckpt"))
    rows = {"held-out originals": x}
    for file in early[:1] + early[2:3] + early[5:6]:
        rows[f"after {int(file.stem[5:])} steps"] = reconstructed(load_checkpoint(file).eval(), x)
    rows[f"phase 1, {args.steps[0]} steps"] = reconstructed(models["phase 1"], x)
    rows[f"phase 2, {args.steps[1]} more"] = reconstructed(models["phase 2"], x)
    return rows


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--vgg", required=True, help="file with VGG16's weights, or torchvision, for the perceptual loss")
    ap.add_argument("--n", type=int, default=10_000, help="demo avatars (default: %(default)s)")
    ap.add_argument("--steps", type=int, nargs=2, default=(4800, 1200),
                    help="of the two phases (default: %(default)s)")
    ap.add_argument("--name", default="large-cpu", help="of the run (default: %(default)s)")
    ap.add_argument("--out", default="",
                    help="folder for large.json and its pictures (default: nbs/experiments and nbs/images)")
    args = ap.parse_args()
    runs = [Path("runs")/args.name/"0", Path("runs")/f"{args.name}-gan"/"0"]
    train(args, runs)
    fits = [json.loads((run/"record.json").read_text(encoding="utf-8")) for run in runs]
    perc, ds = PerceptualLoss(args.vgg), held_out(fits[0]["data"]["store"], 128)
    phase1 = load_checkpoint(runs[0]/"checkpoints"/"best-perc.ckpt").eval()
    models = {"phase 1": phase1, "phase 2": load_model(runs[1])}
    c = compare(models, ds, perc, VGGFeatures(perc), codecs=())
    results = [dict(name=k, metrics=r["metrics"], about=r["about"]) for k, r in c.results.items()]
    pictures, records = (Path(args.out or folder) for folder in ("nbs/images", "nbs/experiments"))
    pictures.mkdir(parents=True, exist_ok=True)
    show_rows(times(args, runs[0], models, ds), path=pictures/"large_times.png")
    c.faces.savefig(pictures/"large_faces.png", dpi=100)
    c.where.savefig(pictures/"large_where.png", dpi=100)
    fits = [{k: v for k, v in f.items() if k != "metrics"} | dict(curves=curves(run)) for f, run in zip(fits, runs)]
    print(c.table.to_string(), f"\npictures in {pictures}")
    write_record(records/"large.json", torch=torch.__version__, weights=perc.name, fits=fits, results=results)


if __name__ == "__main__":
    main()

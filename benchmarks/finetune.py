"""Is it better to start from a tokenizer of other pictures than from nothing? At equal steps, on real faces

    pip install -e '.[bench]'
    anime_vq_prepare FACES faces64train --size 64; anime_vq_prepare OTHERS faces64val --size 64
    python benchmarks/finetune.py --data faces64train --val faces64val --way keep --steps 300 --seed 0 --out p/1.json
    python benchmarks/finetune.py --data faces64train --val faces64val --way keep --steps 5 --n 32 --out p/try.json
    python benchmarks/finetune.py --join p/*.json --name 'my faces' --weights 'Caffe VGG16'  # the pieces to one record

One process makes one run, and writes one piece; on a GPU, begin them side by side. The ways: `as it is`, the shipped
demo tokenizer, which was trained on drawn avatars, without a step; `keep`, fine-tuned with its codes; `kmeans`,
fine-tuned with codes drawn anew; `scratch`, the same architecture from nothing, by the recipe of the demo. `--vgg FILE`
adds a perceptual distance, called after the weights in the file. Each run is one of anime_vq_train; its command stands
in the piece, with folders by their last name.
"""
import argparse, contextlib, io, json, logging, shlex, statistics, sys, warnings
from datetime import date
from pathlib import Path

import torch

from anime_vq_nb.decoder import VQVAE
from anime_vq_nb.eval import evaluate, held_out, load_model
from anime_vq_nb.losses import PerceptualLoss
from anime_vq_nb.runs import git_commit, hardware
from anime_vq_nb.store import AvatarStore
from anime_vq_nb.train import fit

AS_IT_IS, WAYS = "as it is", ("keep", "kmeans", "scratch")
SAME = ("ch", "n_res", "c_latent", "norm", "attn_at", "c_out", "n_codes", "dim")  # what scratch has of the source
BOTH = {"data.val_frac": .05, "data.batch_size": 16, "model.decay": .95, "model.kmeans_images": 1000,
        "run.average": .99}


def options_of(args):
    "Configuration, and what the command is told beside it: option → value"
    how = {"seed_everything": args.seed, "data.data": args.data, "trainer.max_steps": args.steps,
           "trainer.val_check_interval": max(1, args.steps//10)} | BOTH
    if args.way == "scratch":
        shape = VQVAE.from_pretrained("demo")._hub_mixin_config
        own = {"model.kmeans_at": 40, "model.lr": args.lr or 4e-3}
        return "demo", how | {f"model.{k}": shape[k] for k in SAME} | own
    return "finetune_demo", how | {"model.codes": args.way, "model.lr": args.lr or 2e-3}


def written(v):
    "A value as the command line has it, a folder by its last name"
    return json.dumps(v) if isinstance(v, (list, tuple, bool)) else Path(v).name if isinstance(v, str) else str(v)


def course(run):
    "Step and PSNR on the run's own held-out pictures, at each validation"
    return [[int(step), round(v, 3)] for step, v in run.history["val/psnr"].dropna().items()]


def measured(model, args):
    "What a tokenizer makes of faces that it was not trained on"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ds, perc = held_out(args.val, model.size, "all"), PerceptualLoss(args.vgg) if args.vgg else None
    if args.n:
        ds = torch.utils.data.Subset(ds, range(min(args.n, len(ds))))
    got = evaluate(model.to(device), ds, perc and perc.to(device), batch_size=100)["metrics"]
    return {k: round(float(v), 4) for k, v in got.items() if "bits" not in k} | {"measured on": len(ds)}


def one(args):
    "Train one run, measure it, and say how it was made"
    how = dict(way=args.way + (f", lr {args.lr:g}" if args.lr else ""), steps=args.steps, seed=args.seed)
    if args.way == AS_IT_IS:
        how |= dict(steps=0, command="none: anime_vq_nb/pretrained/demo", **measured(load_model("demo"), args))
    else:
        config, options = options_of(args)
        words = (w for k, v in options.items() for w in (f"--{k}", written(v)))
        name = f"{how['way']}-{args.steps}-{args.seed}".replace(", ", "-")
        quiet = {"run.out": args.runs, "run.name": name, "run.ckpt_every": 10**6,
                 "run.pictures_every": 10**6, "trainer.enable_progress_bar": False,
                 "trainer.enable_model_summary": False}
        with contextlib.redirect_stdout(io.StringIO()):
            run = fit(config, **options, **quiet)
        how |= measured(load_model(run.folder), args) | dict(
            seconds=round(run.progress["seconds"]), course=course(run), trained_on=run.record["data"]["train"],
            command=shlex.join(["anime_vq_train", "fit", "--config", config, *words]))
    return how | dict(commit=git_commit(), date=date.today().isoformat(), hardware=hardware(),
                      torch=torch.__version__, pictures={k: len(AvatarStore(v)) for k, v in
                                                         dict(train=args.data, val=args.val).items()})


def rows_of(runs):
    "Mean and spread over the seeds of each way and number of steps"
    groups = {}
    for r in sorted(runs, key=lambda r: (r["steps"], r["way"], r["seed"])):
        groups.setdefault((r["way"], r["steps"]), []).append(r)
    for (way, steps), rs in groups.items():
        line = dict(way=way, steps=steps, seeds=[r["seed"] for r in rs])
        for k in (k for k, v in rs[0].items() if isinstance(v, float) and all(k in r for r in rs)):
            vs = [r[k] for r in rs]
            line |= {k: round(statistics.mean(vs), 4), f"{k}, spread": round(max(vs) - min(vs), 4)}
        yield line


def read(file):
    "A piece"
    try:
        piece = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        sys.exit(f"{file} is no piece of this benchmark ({e})")
    if not isinstance(piece, dict) or not {"way", "steps", "seed", "PSNR", "pictures"} <= piece.keys():
        sys.exit(f"{file} is no piece of this benchmark")
    return piece


def join(args):
    "All pieces in one record"
    runs = [read(file) for file in args.join]
    if args.weights:
        runs = [{f"VGG distance ({args.weights})" if k.startswith("VGG") else k: v for k, v in r.items()} for r in runs]
    seen = [(r["way"], r["steps"], r["seed"]) for r in runs]
    if twice := next((s for s in seen if seen.count(s) > 1), None):
        sys.exit(f"two pieces are of way {twice[0]}, {twice[1]} steps and seed {twice[2]}; give one of them")
    same = {k: sorted({str(r[k]) for r in runs}) for k in ("commit", "date", "hardware", "torch", "pictures")}
    if len(same.pop("pictures")) > 1:
        sys.exit("these pieces were made with different pictures")
    about = {k: v[0] if len(v) == 1 else v for k, v in same.items()}
    command = "python benchmarks/finetune.py --data … --val … --way WAY --steps STEPS --seed SEED --vgg … --out PIECE"
    name = args.name or "{train} train / {val} val".format(**runs[0]["pictures"])
    return dict(command=command, **about, data=name, rows=[*rows_of(runs)],
                runs=[{k: v for k, v in r.items() if k not in ("hardware", "torch", "date", "pictures")}
                      for r in sorted(runs, key=lambda r: (r["steps"], r["way"], r["seed"]))])


def parse():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--data", default="", help="store to train on, 64×64")
    ap.add_argument("--val", default="", help="store to measure on, 64×64, of other pictures")
    ap.add_argument("--way", choices=(AS_IT_IS, *WAYS), default="keep", help="(default: %(default)s)")
    ap.add_argument("--steps", type=int, default=300, help="of 16 pictures (default: %(default)s)")
    ap.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    ap.add_argument("--lr", type=float, default=0, help="another learning rate; a way of its own in the record")
    ap.add_argument("--vgg", default="", help="file with VGG16's weights, for a perceptual distance")
    ap.add_argument("--n", type=int, default=0, help="measure on so many pictures alone")
    ap.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    ap.add_argument("--runs", default="runs/finetune", help="folder of the runs (default: %(default)s)")
    ap.add_argument("--join", nargs="+", default=(), help="pieces to put into one record")
    ap.add_argument("--name", default="", help="what to call the data in the record")
    ap.add_argument("--weights", default="", help="what to call the file of --vgg in the record")
    ap.add_argument("--out", default="nbs/experiments/finetune.json", help="file to write (default: %(default)s)")
    args = ap.parse_args()
    if not args.join and not (args.data and args.val):
        ap.error("give --data and --val, or --join")
    if args.steps < 1:
        ap.error("--steps is at least 1")
    return args


def main():
    args = parse()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel("ERROR")
    torch.set_num_threads(args.threads)
    record, out = join(args) if args.join else one(args), Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(out)
    print(f"written to {out}")


if __name__ == "__main__":
    main()

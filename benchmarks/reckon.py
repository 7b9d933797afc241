"""Memory and time of a training step on a graphics card that one does not have: reckoned, not measured

    pip install -e '.[bench]'
    python benchmarks/reckon.py                  # a minute on a processor, no GPU
    python benchmarks/reckon.py --small --out small.json         # seconds, for trying it out

The step runs on PyTorch's fake tensors, which have shapes, types and a device but no numbers. Each operation is
counted: the bytes that it reads and writes, its floating-point operations, and what is alive after it. The peak of
what is alive is the memory of all tensors; what a card needs beside (the CUDA context, cuDNN's workspace, gaps between
tensors) is not in it. Each operation takes at least as long as its bytes or its operations need at the speed in the
card's data sheet; the sum is a bound from below. Asking a fake tensor for its value fails, so a step that runs here
never waits for the device.
"""
import argparse, tempfile, weakref
from collections import defaultdict
from importlib.metadata import version
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from anime_vq_nb.encoder import GroupNorm
from anime_vq_nb.optimizers import Muon, muon_groups
from anime_vq_nb.runs import hardware
from record import write_record
from train_step import FULL, SMALL, make_model, random_vgg

CARDS = {  # dense bfloat16 with 32-bit sums, FLOP/s; the same in 32 bits; bytes/s: from the makers' data sheets
    "RTX 4090": (165.2e12, 82.6e12, 1008e9),
    "RTX 3090": (71e12, 35.6e12, 936e9),
    "A100 40 GB": (312e12, 19.5e12, 1555e9),
    "H100 SXM": (989e12, 66.9e12, 3350e9),
}
OURS, WIDE, PEER = "anime_vq_nb", "anime_vq_nb, PyTorch's GroupNorm", "diffusers VQModel"
BEST = "anime_best"  # the configuration: its body, and Muon; phase 2 is that of vqgan_best, with Adam


class Ledger(TorchDispatchMode):
    "Bytes that are alive, bytes and arithmetic of each kind of operation, and least seconds on each card"
    def __init__(self):
        super().__init__()
        self.alive, self.peak, self.known, self.time = 0, 0, set(), dict.fromkeys(CARDS, 0.)
        self.bytes, self.flops = defaultdict(int), defaultdict(int)

    def hold(self, tensor):
        "Count a tensor's storage until it is freed"
        storage = tensor.untyped_storage()
        if storage._cdata in self.known:
            return
        self.known.add(storage._cdata)
        self.alive += (n := storage.nbytes())
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self.free, storage._cdata, n)

    def free(self, key, n):
        self.known.discard(key)
        self.alive -= n

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        for t in made:
            self.hold(t)
        if func is torch.ops.prim.device.default:
            return out
        returns = func._schema.returns
        if returns and all(r.alias_info and not r.alias_info.is_write for r in returns):
            return out  # a view moves nothing
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        moved = sum(t.numel()*t.element_size() for t in read + made)
        count = flop_registry.get(func._overloadpacket)
        done = count(*args, **(kwargs or {}), out_val=out) if count else 0
        name = func._overloadpacket.__name__
        self.bytes[name] += moved
        self.flops[name] += done
        half = bool(read) and read[0].dtype in (torch.bfloat16, torch.float16)
        for card, (fast, slow, width) in CARDS.items():
            self.time[card] += max(done/(fast if half else slow), moved/width)
        return out


def as_on_cuda(x, groups, weight=None, bias=None, eps=1e-5):
    "F.group_norm as CUDA has it: autocast runs it in 32 bits, and its kernel wants channels first"
    if torch.is_autocast_enabled("cpu"):
        x = x.float()
    return torch.group_norm(x.contiguous(), groups, weight, bias, eps)


def pretend(module):
    "Put fake tensors in the place of a module's weights, laid out in the same way"
    def fake(t):
        return torch.empty_strided(t.shape, t.stride(), dtype=t.dtype)

    for m in module.modules():
        for k, p in m._parameters.items():
            if p is not None:
                m._parameters[k] = nn.Parameter(fake(p), p.requires_grad)
        for k, b in m._buffers.items():
            if b is not None:
                m._buffers[k] = fake(b)


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def step(module, x, optimizers):
    "A training step, as the LightningModules of phases 1 and 2 make it, without Lightning"
    opt, *more = optimizers
    with torch.autocast("cpu", torch.bfloat16):
        if more:
            loss, _, vq, x_rec = module.generator_loss(channels_last(x), .1)
        else:
            x_rec, vq = module.model.autoencode(channels_last(x))
            loss, _ = module.loss(x_rec, x, vq)
        losses = [loss] + [module.discriminator_loss(x, x_rec)[0] for _ in more]
    for loss in losses:
        loss.backward()
    for o in [*more, opt]:
        torch.nn.utils.clip_grad_norm_([p for g in o.param_groups for p in g["params"]], 1.)
        o.step()
        o.zero_grad()


def reckon(phase, what, size, batch, plan, vgg):
    "Memory and least time of the second step; the first makes the optimizers' state"
    plan = plan | dict(dim=16, norm="group4") if what == BEST else plan
    module, norm = make_model(phase, what == PEER, size, plan, vgg), nn.GroupNorm if what == WIDE else GroupNorm
    on_cuda, forward = patch.object(F, "group_norm", as_on_cuda), patch.object(GroupNorm, "forward", norm.forward)
    with FakeTensorMode(), on_cuda, forward, Ledger() as ledger:
        for part in (module, module.loss.perceptual.frozen.net):
            pretend(part)
        learn = [module.model] + ([module.discriminator] if phase == 2 else [])
        optimizers = [torch.optim.Adam(m.parameters(), fused=True) for m in learn]
        if what == BEST and phase == 1:
            optimizers = [Muon(muon_groups(module.model, module.model.encoder, module.model.decoder))]
        x = torch.rand(batch, 3, size, size)*2 - 1
        step(module, x, optimizers)
        before = ledger.alive
        ledger.peak, ledger.time = before, dict.fromkeys(CARDS, 0.)
        ledger.bytes.clear(), ledger.flops.clear()
        step(module, x, optimizers)
        most = sorted(ledger.bytes, key=ledger.bytes.get, reverse=True)[:6]
        return {
            "GiB at the peak": round(ledger.peak/2**30, 2),
            "GiB between steps": round(before/2**30, 2),
            "TFLOPs": round(sum(ledger.flops.values())/1e12, 2),
            "GB moved": round(sum(ledger.bytes.values())/1e9, 1),
            "moves most": {k: round(ledger.bytes[k]/1e9, 1) for k in most},
            "least seconds": {k: round(t, 4) for k, t in ledger.time.items()},
        }


def measuring(size, batch, plan, vgg):
    "Memory at the end of a run, when its weights are measured: a batch in 32 bits, nothing to be learned"
    module = make_model(1, False, size, plan | dict(dim=16, norm="group4"), vgg).eval()
    with FakeTensorMode(), patch.object(F, "group_norm", as_on_cuda), Ledger() as ledger, torch.no_grad():
        for part in (module, module.loss.perceptual.frozen.net):
            pretend(part)
        x = torch.rand(batch, 3, size, size)*2 - 1
        x_rec, vq = module.model.autoencode(x)
        module.loss(x_rec, x, vq)
        return {"what": BEST, "precision": "32-true", "GiB at the peak": round(ledger.peak/2**30, 2)}


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--batch", type=int, default=32, help="pictures a step (default: %(default)s)")
    ap.add_argument("--small", action="store_true", help="a tiny model, for trying it out")
    ap.add_argument("--out", default="nbs/experiments/bench-reckon.json", help="file to write (default: %(default)s)")
    args = ap.parse_args()
    size, plan, batch = (32, SMALL, 2) if args.small else (256, FULL, args.batch)
    with tempfile.TemporaryDirectory() as tmp:
        vgg = random_vgg(tmp)
        rows = []
        for phase in (1, 2):
            for what in (OURS, BEST, WIDE, PEER):
                rows.append({"phase": phase, "what": what, **reckon(phase, what, size, batch, plan, vgg)})
                print(rows[-1], flush=True)
        print("measuring:", end := measuring(size, batch, plan, vgg))
    cards = {k: dict(zip(("bfloat16 FLOP/s", "32-bit FLOP/s", "bytes/s"), v)) for k, v in CARDS.items()}
    write_record(args.out, hardware=f"reckoned, no card was used; on {hardware()}", torch=torch.__version__,
                 diffusers=version("diffusers"), precision="bf16-mixed", size=size, batch=batch, small=args.small,
                 cards=cards, rows=rows, measuring=end)


if __name__ == "__main__":
    main()

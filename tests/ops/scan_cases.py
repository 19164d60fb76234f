"""Shared by the scan tests: inputs, and the recurrence as a plain loop over steps."""

from __future__ import annotations

import os
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from cdzoo.ops import scan_cpu, scan_index
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.backends import load, why_not

NAMES = ScanArgs._fields


def usable_backends() -> list[str]:
    """Return the fast CPU backends, one entry per instruction set; none if the library is not compiled."""
    return [f"cpu-{isa}" for isa in scan_cpu.built()] if why_not("cpu", "cpu") is None else []


@contextmanager
def module_of(name: str):
    """Return the module of an entry of `usable_backends`, with its instruction set selected."""
    backend, _, isa = name.partition("-")
    before = os.environ.get("CDZOO_SCAN_ISA")
    if isa:
        os.environ["CDZOO_SCAN_ISA"] = isa
    try:
        yield load(backend)
    finally:
        os.environ.pop("CDZOO_SCAN_ISA", None)
        if before is not None:
            os.environ["CDZOO_SCAN_ISA"] = before


def map_problem(batch, height, width, channels, state, *, dtype=torch.float32, scale=1.0, decay=1.0, directions=4, seed=0):
    """Return leaf tensors for `ss2d_scan`, channels last: x, delta, A, B, C, D, delta_bias."""
    gen = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=gen, dtype=torch.float64)

    tensors = [
        normal(batch, height, width, channels) * scale,
        normal(directions, batch, height, width, channels) - 1,
        -torch.rand(directions, channels, state, generator=gen, dtype=torch.float64) * decay,
        normal(batch, height, width, directions, state),
        normal(batch, height, width, directions, state),
        normal(directions, channels),
        normal(directions, channels) * 0.1,
    ]
    return [t.to(dtype).requires_grad_() for t in tensors]


def step_by_step(x, delta, A, B, C, D=None, delta_bias=None, delta_softplus=True, order="cross"):
    """Compute `ss2d_scan` by its definition, one step of the recurrence at a time."""
    batch, height, width, channels = x.shape
    index = scan_index(order, height, width).long()
    x, delta, B, C = x.flatten(1, 2), delta.flatten(2, 3), B.flatten(1, 2), C.flatten(1, 2)
    total = torch.zeros_like(x)
    for k, path in enumerate(index):
        h = x.new_zeros(batch, channels, A.shape[2])
        rows = [None] * len(path)
        for pos in path.tolist():
            dt = delta[k, :, pos] + (0 if delta_bias is None else delta_bias[k])
            dt = F.softplus(dt) if delta_softplus else dt
            h = torch.exp(dt[..., None] * A[k]) * h + (dt * x[:, pos])[..., None] * B[:, pos, k, None]
            rows[pos] = (h * C[:, pos, k, None]).sum(-1)
        total = total + torch.stack(rows, 1) + (0 if D is None else D[k] * x)
    return total.view(batch, height, width, channels)


def flat(tensors):
    """Return the tensors of `map_problem` in the form that backends expect."""
    x, delta, A, B, C, D, bias = (None if t is None else t.detach() for t in tensors)
    return ScanArgs(x.flatten(1, 2), delta.flatten(2, 3), A, B.flatten(1, 2), C.flatten(1, 2), D, bias)

"""Backend ``mamba_ssm``: the compiled CUDA extension of mamba-ssm, if it is installed and works.

Only the extension module ``selective_scan_cuda`` is imported, because ``mamba_ssm`` itself requires packages for language models.
The extension takes sequences in scan order, so the maps are copied once per direction; other backends do not copy them.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import torch
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs

_FIX = (
    "build it with `MAMBA_KEEP_CUDA_BUILD=TRUE MAMBA_FORCE_BUILD=TRUE pip install --no-build-isolation --no-binary mamba-ssm "
    "mamba-ssm` (needs nvcc), or use the triton backend"
)


@cache
def _extension() -> Any:
    return importlib.import_module("selective_scan_cuda")  # after torch, whose libraries it links


@cache
def unavailable() -> str | None:
    """Return None if the extension runs, else the reason and a remedy.

    It is called once, because an extension built for another GPU or another version of torch may import and then fail.
    """
    if not torch.cuda.is_available():
        return "it needs a CUDA device; none is visible to torch"
    try:
        ones = torch.ones(1, 1, 4, device="cuda")
        A, BC = -torch.ones(1, 1, device="cuda"), torch.ones(1, 1, 1, 4, device="cuda")
        _extension().fwd(ones, ones, A, BC, BC, None, None, None, False)
        torch.cuda.synchronize()
    except (ImportError, OSError, AttributeError, TypeError, RuntimeError) as error:
        return f"the compiled extension selective_scan_cuda does not work ({type(error).__name__}: {error}); {_FIX}"
    return None


def _sequences(maps: Tensor, index: Tensor) -> Tensor:
    """Return maps (B, L, Dm) as sequences (B, K * Dm, L) in the order of each direction."""
    picked = maps[:, index.long()]  # (B, K, L, Dm)
    return picked.permute(0, 1, 3, 2).flatten(1, 2).contiguous()


def _prepare(args: ScanArgs, index: Tensor) -> list[Any]:
    """Return u, delta, A, B, C, D and delta_bias for the extension, with directions as groups of channels."""
    path = index.long()
    k = torch.arange(len(path), device=path.device).unsqueeze(1)
    steps = args.delta[k, :, path].permute(2, 0, 3, 1).flatten(1, 2).contiguous()  # (K, L, B, Dm) -> (B, K * Dm, L)
    projections = [t[:, path, k].transpose(2, 3).contiguous() for t in (args.B, args.C)]  # (B, K, N, L)
    weights = [None if v is None else v.flatten().contiguous() for v in (args.D, args.delta_bias)]
    return [_sequences(args.x, index), steps, args.A.flatten(0, 1).contiguous(), *projections, *weights]


def forward(args: ScanArgs, index: Tensor, delta_softplus: bool, save_states: bool) -> tuple[Tensor, Tensor]:
    """Scan K directions and sum the results at each position; shapes as in :mod:`cdzoo.ops.backends`.

    The extension saves states of another shape, so :func:`backward` repeats the scan. The states returned here are NaN, so that
    another backend that used them by mistake would not return wrong gradients unnoticed.
    """
    x = args.x
    batch, length, channels = x.shape
    directions, _, state = args.A.shape
    u, steps, decay, b, c, d, bias = _prepare(args, index)
    out = _extension().fwd(u, steps, decay, b, c, d, None, bias, delta_softplus)[0].view(batch, directions, channels, length)
    y = torch.zeros_like(x)
    for k in range(directions):
        y[:, index[k].long()] += out[:, k].transpose(1, 2)
    shape = (directions, batch, -(-length // CHUNK), channels, state) if save_states else (0,)
    return y, x.new_full(shape, float("nan"))


def backward(grad_y: Tensor, args: ScanArgs, index: Tensor, delta_softplus: bool, states: Tensor) -> Gradients:
    """Return the gradients of x, delta, A, B, C, D and delta_bias, in this order."""
    x, delta, A, B, C, D, delta_bias = args
    u, steps, decay, b, c, d, bias = _prepare(args, index)
    kept = _extension().fwd(u, steps, decay, b, c, d, None, bias, delta_softplus)[1]
    du, dsteps, dA, db, dc, dD, dbias, *_ = _extension().bwd(
        u, steps, decay, b, c, d, None, bias, _sequences(grad_y, index), kept, None, None, delta_softplus, False
    )
    dx, ddelta, dB, dC = torch.zeros_like(x), torch.empty_like(delta), torch.empty_like(B), torch.empty_like(C)
    du, dsteps = (g.unflatten(1, A.shape[:2]) for g in (du, dsteps))  # (B, K, Dm, L)
    for k, path in enumerate(index.long()):
        dx[:, path] += du[:, k].transpose(1, 2)
        ddelta[k][:, path] = dsteps[:, k].transpose(1, 2)
        dB[:, path, k] = db[:, k].transpose(1, 2).to(dB.dtype)
        dC[:, path, k] = dc[:, k].transpose(1, 2).to(dC.dtype)
    rest = [None if v is None else g.view(v.shape) for v, g in ((D, dD), (delta_bias, dbias))]
    return dx, ddelta, dA.view_as(A), dB, dC, rest[0], rest[1]

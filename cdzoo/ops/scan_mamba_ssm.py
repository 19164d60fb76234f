"""Backend ``mamba_ssm``: the compiled CUDA extension of mamba-ssm, if it is installed and works.

Only the bare extension module ``selective_scan_cuda`` is used; importing ``mamba_ssm`` itself pulls in language-model
dependencies and fails without them. The extension takes sequences in scan order, so directions are copied into it as groups
of channels, which costs memory traffic that the other backends avoid.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs

_FIX = (
    "build it with `MAMBA_KEEP_CUDA_BUILD=TRUE MAMBA_FORCE_BUILD=TRUE pip install --no-build-isolation --no-binary mamba-ssm "
    "mamba-ssm` (needs nvcc), or use the triton backend"
)


@lru_cache(maxsize=1)
def _extension() -> Any:

    return importlib.import_module("selective_scan_cuda")  # after torch, whose libraries it links


@lru_cache(maxsize=1)
def unavailable() -> str | None:
    """Return None when the compiled operation runs, else the reason and a remedy.

    The operation is called once, because a module built for another architecture or another torch may import and then fail.
    """
    if not torch.cuda.is_available():
        return "it needs a CUDA device; none is visible to torch"
    try:
        ones = torch.ones(1, 1, 4, device="cuda")
        A, BC = -torch.ones(1, 1, device="cuda"), torch.ones(1, 1, 1, 4, device="cuda")
        _extension().fwd(ones, ones, A, BC, BC, None, None, None, False)
        torch.cuda.synchronize()
    except (ImportError, OSError, AttributeError, TypeError, RuntimeError) as error:
        return f"the compiled op selective_scan_cuda does not work ({type(error).__name__}: {error}); {_FIX}"
    return None


def _sequences(maps: Tensor, index: Tensor) -> Tensor:
    """Return maps (B, L, Dm) as sequences (B, K * Dm, L) in the order of each direction."""
    picked = maps[:, index.long()]  # (B, K, L, Dm)
    return picked.permute(0, 1, 3, 2).flatten(1, 2).contiguous()


def _prepare(args: ScanArgs, index: Tensor) -> list[Any]:
    """Return u, delta, A, B, C, D and delta_bias as the extension takes them: directions are groups of channels."""
    x, delta, A, B, C, D, bias = args
    path = index.long()
    raw = torch.stack([delta[k][:, path[k]] for k in range(len(path))], 1)  # (B, K, L, Dm)

    def projection(t: Tensor) -> Tensor:
        return torch.stack([t[:, path[k], k] for k in range(len(path))], 1).transpose(2, 3).contiguous()  # (B, K, N, L)

    flat = [None if v is None else v.flatten().contiguous() for v in (D, bias)]
    steps = raw.permute(0, 1, 3, 2).flatten(1, 2).contiguous()
    return [_sequences(x, index), steps, A.flatten(0, 1).contiguous(), projection(B), projection(C), *flat]


def forward(args: ScanArgs, index: Tensor, delta_softplus: bool, save_states: bool) -> tuple[Tensor, Tensor]:
    """Scan K directions and sum them in place; shapes as in :mod:`cdzoo.ops.backends`.

    The extension keeps states of another shape. The saved states are NaN, so that no other backend can use them by mistake, and
    :func:`backward` scans once more.
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
    """Gradients of :func:`forward` with respect to x, delta, A, B, C, D and delta_bias, in that order."""
    x, delta, A, B, C, D, delta_bias = args
    batch, length, channels = x.shape
    directions = A.shape[0]
    u, steps, decay, b, c, d, bias = _prepare(args, index)
    kept = _extension().fwd(u, steps, decay, b, c, d, None, bias, delta_softplus)[1]
    du, dsteps, dA, db, dc, dD, dbias, *_ = _extension().bwd(
        u, steps, decay, b, c, d, None, bias, _sequences(grad_y, index), kept, None, None, delta_softplus, False
    )
    dx, ddelta, dB, dC = torch.zeros_like(x), torch.empty_like(delta), torch.empty_like(B), torch.empty_like(C)
    du, dsteps = (g.view(batch, directions, channels, length) for g in (du, dsteps))
    for k in range(directions):
        path = index[k].long()
        dx[:, path] += du[:, k].transpose(1, 2)
        ddelta[k][:, path] = dsteps[:, k].transpose(1, 2)
        dB[:, path, k] = db[:, k].transpose(1, 2).to(dB.dtype)
        dC[:, path, k] = dc[:, k].transpose(1, 2).to(dC.dtype)
    rest = [None if v is None else g.view(directions, channels) for v, g in ((D, dD), (delta_bias, dbias))]
    return dx, ddelta, dA.view_as(A), dB, dC, rest[0], rest[1]

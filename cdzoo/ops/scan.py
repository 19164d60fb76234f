"""The public scan functions. They check shapes in the terms of the caller before they call an operator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.ops.args import ScanArgs, check_map, check_sequence, check_tensors, expect
from cdzoo.ops.library import selective_scan_op, ss2d_scan_op
from cdzoo.ops.orders import num_directions

__all__ = ["selective_scan", "ss2d_scan"]


def _needs_states(args: ScanArgs) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for _, tensor in args.present())


def ss2d_scan(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = True,
    order: str = "cross",
    channels_last: bool = True,
) -> Tensor:
    """Scan a map along K directions and sum the K results at their positions.

    For each direction and channel, with t running along the direction's path over the map::

        dt  = softplus(delta + delta_bias)            (or delta + delta_bias)
        h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t      (N numbers)
        y_t = C_t . h_t + D x_t

    This is the SS2D block of VMamba (Liu et al. 2024, arXiv 2401.10166) over the recurrence of Mamba (Gu and Dao 2023,
    arXiv 2312.00752) without four permuted copies of the map: ``delta``, ``B`` and ``C`` stay at map positions, since the
    projections that make them are pointwise, and directions are index arithmetic inside the operator.

    Args:
        x: map (B, H, W, Dm); (B, Dm, H, W) when ``channels_last`` is False.
        delta: raw step sizes per direction (K, B, H, W, Dm), position-indexed; else (K, B, Dm, H, W).
        A: (K, Dm, N), at most 0 (positive values make an unstable scan).
        B: input projection (B, H, W, K, N), which may be a view; else (B, K, N, H, W).
        C: output projection, shaped as B.
        D: skip weights (K, Dm).
        delta_bias: added to ``delta`` before softplus, (K, Dm).
        delta_softplus: whether step sizes go through softplus.
        order: scan order, one of :func:`cdzoo.ops.list_scan_orders`; it determines K.
        channels_last: layout of all maps.

    Returns:
        (B, H, W, Dm), or (B, Dm, H, W) as a channels-last view, in the dtype of ``x``. Arithmetic is fp32, also for half
        inputs and under autocast, and float64 when any input is float64.

    Raises:
        ValueError: a shape does not fit, or the order is unknown.
        RuntimeError: the backend asked for by ``CDZOO_SCAN`` cannot be used.
    """
    directions = num_directions(order)
    args = ScanArgs(x, delta, A, B, C, D, delta_bias)
    check_tensors(args)
    if not channels_last:
        args = _channels_last(args, directions)
    check_map(args, directions)
    y = ss2d_scan_op(*args, delta_softplus, order, _needs_states(args))[0]
    return y if channels_last else y.permute(0, 3, 1, 2)


def _channels_last(args: ScanArgs, directions: int) -> ScanArgs:
    """Return channels-last views of channels-first maps, whose shapes are checked in the caller's order of axes."""
    if args.x.dim() != 4 or args.A.dim() != 3:
        raise ValueError(f"x must be (B, Dm, H, W) and A (K, Dm, N), got {tuple(args.x.shape)} and {tuple(args.A.shape)}")
    batch, channels, height, width = args.x.shape
    expect("delta", args.delta, (directions, batch, channels, height, width), "(K, B, Dm, H, W)")
    for name, tensor in (("B", args.B), ("C", args.C)):
        expect(name, tensor, (batch, directions, args.A.shape[2], height, width), "(B, K, N, H, W)")
    return args._replace(
        x=args.x.permute(0, 2, 3, 1),
        delta=args.delta.permute(0, 1, 3, 4, 2),
        B=args.B.permute(0, 3, 4, 1, 2),
        C=args.C.permute(0, 3, 4, 1, 2),
    )


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Selective scan of sequences with the argument names, shapes and semantics of mamba-ssm's function.

    See Mamba, Gu and Dao 2023, arXiv 2312.00752. The recurrence is that of :func:`ss2d_scan` with one direction.

    Args:
        u: (B, D, L).
        delta: (B, D, L).
        A: (D, N), real, at most 0.
        B: (B, N, L), (B, G, N, L) for G groups of D / G channels, or constant in time (D, N).
        C: as B; the two may differ in form. The constant form runs channel by channel and is slow.
        D: skip weights (D,).
        z: gate (B, D, L): the result is multiplied by silu(z).
        delta_bias: (D,).
        delta_softplus: whether step sizes go through softplus.

    Returns:
        (B, D, L) in the dtype of ``u``; fp32 arithmetic inside, float64 when any input is float64.

    Raises:
        ValueError: a shape does not fit, or A is complex, which mamba-ssm allows and no vision model uses.
    """
    check_tensors(ScanArgs(u, delta, A, B, C, D, delta_bias))
    if u.dim() != 3 or A.dim() != 2:
        raise ValueError(f"u must be (B, D, L) and A (D, N), got {tuple(u.shape)} and {tuple(A.shape)}")
    expect("z", z, tuple(u.shape), "(B, D, L)")
    B, C = _grouped("B", B, u, A.shape[1]), _grouped("C", C, u, A.shape[1])
    groups = max(B.shape[1], C.shape[1])
    args = ScanArgs(u, delta, A, _spread(B, groups), _spread(C, groups), D, delta_bias)
    check_sequence(args)
    y = selective_scan_op(*args, delta_softplus, _needs_states(args))[0]
    if z is None:
        return y
    return y * F.silu(z) if u.dtype == torch.float64 else (y.float() * F.silu(z.float())).to(u.dtype)


def _grouped(name: str, tensor: Tensor, u: Tensor, state: int) -> Tensor:
    """Return any accepted form of B or C as (B, G, N, L)."""
    batch, channels, length = u.shape
    if tensor.dim() == 2:
        expect(name, tensor, (channels, state), "(D, N)")
        return tensor.view(1, channels, state, 1).expand(batch, channels, state, length)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(1)
    groups = tensor.shape[1] if tensor.dim() == 4 else 1
    if channels % groups:
        raise ValueError(f"{name} has {groups} groups, which do not divide the {channels} channels")
    expect(name, tensor, (batch, groups, state, length), "(B, N, L) or (B, G, N, L)")
    return tensor


def _spread(tensor: Tensor, groups: int) -> Tensor:
    """Repeat groups so that B and C have the same number of them."""
    have = tensor.shape[1]
    if groups % have:
        raise ValueError(f"B and C have {have} and {groups} groups; one number must divide the other")
    return tensor if have == groups else tensor.repeat_interleave(groups // have, dim=1)

"""The public scan functions. Shapes are checked in the layout of the caller before an operator runs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.ops.args import MAP, MAP_CHANNELS_FIRST, ScanArgs, check_map, check_sequence, check_tensors, expect
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
    """Scan a map along K directions and sum the K results at each position.

    For each direction and channel, with t running along the path of the direction over the map::

        dt  = softplus(delta + delta_bias)            (or delta + delta_bias)
        h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t      (N numbers)
        y_t = C_t . h_t + D x_t

    This is the SS2D block of VMamba (Liu et al. 2024, arXiv 2401.10166) with the recurrence of Mamba (Gu and Dao 2023,
    arXiv 2312.00752), without a permuted copy of the map per direction. ``delta``, ``B`` and ``C`` are indexed by map position,
    because the projections that compute them are pointwise; the operator looks up the positions of each direction.

    Args:
        x: Map (B, H, W, Dm); (B, Dm, H, W) if ``channels_last`` is False.
        delta: Step sizes of each direction before bias and softplus, (K, B, H, W, Dm) or (K, B, Dm, H, W).
        A: Decay rates (K, Dm, N), at most 0; positive values make the scan unstable.
        B: Input projections (B, H, W, K, N) or (B, K, N, H, W); may be a view.
        C: Output projections, of the same shape.
        D: Skip weights (K, Dm).
        delta_bias: Bias added to ``delta`` before softplus, (K, Dm).
        delta_softplus: Apply softplus to the step sizes.
        order: Scan order, one of :func:`cdzoo.ops.list_scan_orders`; it determines K.
        channels_last: Layout of all maps.

    Returns:
        (B, H, W, Dm), or (B, Dm, H, W) as a channels-last view, in the dtype of ``x``. Arithmetic is fp32, also for
        half-precision inputs and under autocast, and float64 if any input is float64.

    Raises:
        ValueError: A shape is wrong, or the order is unknown.
        RuntimeError: The backend requested by ``CDZOO_SCAN`` cannot be used.
    """
    directions = num_directions(order)
    args = ScanArgs(x, delta, A, B, C, D, delta_bias)
    check_tensors(args)
    check_map(args, directions, MAP if channels_last else MAP_CHANNELS_FIRST)
    if not channels_last:
        B, C = (t.permute(0, 3, 4, 1, 2) for t in (B, C))
        args = args._replace(x=x.permute(0, 2, 3, 1), delta=delta.permute(0, 1, 3, 4, 2), B=B, C=C)
    y = ss2d_scan_op(*args, delta_softplus, order, _needs_states(args))[0]
    return y if channels_last else y.permute(0, 3, 1, 2)


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
    """Selective scan of sequences with the argument names, shapes and semantics of the function of mamba-ssm.

    See Mamba, Gu and Dao 2023, arXiv 2312.00752. The recurrence is that of :func:`ss2d_scan` with one direction.

    Args:
        u: Input (B, D, L).
        delta: Step sizes before bias and softplus, (B, D, L).
        A: Decay rates (D, N), real, at most 0.
        B: Input projections (B, N, L), (B, G, N, L) for G groups of D / G channels, or constant in time (D, N).
        C: Output projections in any of these forms, also another one than ``B``. The constant form is computed channel by channel
            and is slow.
        D: Skip weights (D,).
        z: Gate (B, D, L); the result is multiplied by silu(z).
        delta_bias: Bias added to ``delta`` before softplus, (D,).
        delta_softplus: Apply softplus to the step sizes.

    Returns:
        (B, D, L) in the dtype of ``u``; arithmetic is fp32, or float64 if any input is float64.

    Raises:
        ValueError: A shape is wrong, or a tensor is complex, which mamba-ssm supports but no vision model uses.
    """
    args = ScanArgs(u, delta, A, B, C, D, delta_bias)
    check_tensors(args, z=z)
    sizes: dict[str, int] = {}
    for name, tensor, axes in (("u", u, "B, D, L"), ("A", A, "D, N"), ("z", z, "B, D, L")):
        expect(name, tensor, axes, sizes)
    B, C = _grouped("B", B, sizes), _grouped("C", C, sizes)
    groups = max(B.shape[1], C.shape[1])
    args = args._replace(B=_repeat_groups(B, groups), C=_repeat_groups(C, groups))
    check_sequence(args)
    y = selective_scan_op(*args, delta_softplus, _needs_states(args))[0]
    if z is None:
        return y
    return y * F.silu(z) if u.dtype == torch.float64 else (y.float() * F.silu(z.float())).to(u.dtype)


def _grouped(name: str, tensor: Tensor, sizes: dict[str, int]) -> Tensor:
    """Return B or C in any of its forms as (B, G, N, L), given the sizes of the other axes."""
    if tensor.dim() == 2:
        expect(name, tensor, "D, N", sizes)
        return tensor[None, :, :, None].expand(sizes["B"], -1, -1, sizes["L"])
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(1)
    expect(name, tensor, "B, G, N, L", dict(sizes))
    if tensor.shape[1] < 1 or sizes["D"] % tensor.shape[1]:
        raise ValueError(f"{name} has {tensor.shape[1]} groups, which do not divide the {sizes['D']} channels")
    return tensor


def _repeat_groups(tensor: Tensor, groups: int) -> Tensor:
    """Repeat groups so that B and C have the same number of them."""
    count = tensor.shape[1]
    if groups % count:
        raise ValueError(f"B and C have {count} and {groups} groups; one number must divide the other")
    return tensor if count == groups else tensor.repeat_interleave(groups // count, dim=1)

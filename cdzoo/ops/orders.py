"""Scan orders: paths along which a selective scan visits the positions of a map (H, W).

An order is a table of permutations: step ``t`` of direction ``k`` reads map position ``index[k, t] = h * W + w``. All kernels
read this table, so a new order is one function in ``_ORDERS``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["list_scan_orders", "num_directions", "scan_index"]


def _cross(height: int, width: int) -> Tensor:
    """Rows, columns, and the reverse of both (SS2D of VMamba)."""
    rows = torch.arange(height * width, device="cpu").view(height, width)
    columns = rows.t()
    return torch.stack([rows.flatten(), columns.flatten(), rows.flatten().flip(0), columns.flatten().flip(0)])


def _corners(height: int, width: int) -> Tensor:
    """Row by row from each of the four corners: upper left, lower right, upper right, lower left."""
    rows = torch.arange(height * width, device="cpu").view(height, width)
    return torch.stack([rows.flatten(), rows.flatten().flip(0), rows.flip(1).flatten(), rows.flip(0).flatten()])


def _omni(height: int, width: int) -> Tensor:
    """Rows, columns, their reverses, both diagonals and their reverses (RS-Mamba, Zhao et al. 2024, arXiv 2404.02668).

    Diagonals wrap around: step w reads column (w + h) mod W, or (w - h) mod W, of every row h before the next step.
    """
    rows = torch.arange(height, device="cpu")
    steps = torch.arange(width, device="cpu").unsqueeze(1)
    diagonals = [(rows * width + (steps + sign * rows) % width).flatten() for sign in (1, -1)]
    return torch.cat([_cross(height, width), torch.stack([*diagonals, *(d.flip(0) for d in diagonals)])])


# Number of directions K and function that returns the table, by name.
_ORDERS: dict[str, tuple[int, Callable[[int, int], Tensor]]] = {
    "cross": (4, _cross),
    "corners": (4, _corners),
    "omni": (8, _omni),
}


def list_scan_orders() -> list[str]:
    """Return the names that the ``order`` argument of :func:`cdzoo.ops.ss2d_scan` accepts."""
    return sorted(_ORDERS)


def _entry(order: str) -> tuple[int, Callable[[int, int], Tensor]]:
    if not isinstance(order, str) or order not in _ORDERS:
        raise ValueError(f"unknown scan order {order!r}; known orders: {', '.join(list_scan_orders())}")
    return _ORDERS[order]


@lru_cache(maxsize=64)
def scan_index(order: str, height: int, width: int, device: str = "cpu") -> Tensor:
    """Return the permutation table of an order.

    Args:
        order: One of :func:`list_scan_orders`.
        height: Height of the map, at least 1.
        width: Width of the map, at least 1.
        device: Device of the table, as a string such as ``"cuda:0"``.

    Returns:
        int32 tensor (K, H * W); each row is a permutation of ``0 .. H * W - 1``. It is cached and shared, so do not modify it.

    Raises:
        ValueError: The order is unknown; the message lists the known ones. Or the map has more positions than int32 counts.
    """
    if height * width >= 2**31:
        raise ValueError(f"a map of {height} x {width} has more than 2^31 positions; scan it in tiles")
    return _entry(order)[1](height, width).to(device=device, dtype=torch.int32).contiguous()


def num_directions(order: str) -> int:
    """Return K, the number of directions of an order."""
    return _entry(order)[0]


@lru_cache(maxsize=16)
def line_index(length: int, device: str = "cpu") -> Tensor:
    """Return the table (1, L) of a sequence that is read from first to last."""
    return torch.arange(length, dtype=torch.int32, device=device).unsqueeze(0)

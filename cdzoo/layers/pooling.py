"""Mean pooling to a grid of a given size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pool_to(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the means of the cells of a grid: (B, C, h, w) -> (B, C, H, W).

    Cell i of n along an axis of length l holds the pixels floor(i l / n) to ceil((i + 1) l / n) - 1, as in
    `torch.nn.functional.adaptive_avg_pool2d`. Maps of symbolic size are pooled by two matrix products, because the number of
    pixels per cell, which depends on the size, would be a constant of an exported program.

    Args:
        x: Map (B, C, h, w).
        size: Size (H, W) of the grid.
    """
    if not any(isinstance(side, torch.SymInt) for side in x.shape[-2:]):
        return F.adaptive_avg_pool2d(x, size)
    down, right = (_weights(length, cells, x) for length, cells in zip(x.shape[-2:], size, strict=True))
    return down @ x @ right.mT


def _weights(length: int, cells: int, x: Tensor) -> Tensor:
    """Return the weight of each pixel of an axis in each cell: (cells, length)."""
    cell, pixel = torch.arange(cells, device=x.device)[:, None], torch.arange(length, device=x.device)
    inside = (((pixel + 1) * cells > cell * length) & (pixel * cells < (cell + 1) * length)).to(x.dtype)
    return inside / inside.sum(1, keepdim=True)

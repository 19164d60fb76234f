"""Bilinear resizing of feature maps and logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Resize a map bilinearly: (B, C, h, w) -> (B, C, H, W).

    Args:
        x: Map (B, C, h, w); returned as is if it already has this size.
        size: Output size (H, W) in pixels.
        align_corners: Whether the centers of the corner pixels coincide, instead of the corners of the maps.
    """
    if _equal(x.shape[-2:], size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)


def _equal(size: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether two sizes are equal; of symbols, whether they are at all values."""
    if not any(isinstance(side, torch.SymInt) for side in (*size, *other)):
        return tuple(size) == tuple(other)
    # A comparison would bind an exported program to sizes that are equal or unequal as those of its example are.
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return all(statically_known_true(a == b) for a, b in zip(size, other, strict=True))

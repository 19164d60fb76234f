"""Bilinear resizing of feature maps and logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Resize a map bilinearly: (B, C, h, w) -> (B, C, H, W).

    Args:
        x: Map (B, C, h, w); returned as is if it already has this size.
        size: Output size (H, W) in pixels.
        align_corners: Whether the centers of the corner pixels coincide, instead of the corners of the maps.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)

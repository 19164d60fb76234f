"""Bilinear resizing of feature maps and logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a map bilinearly, without aligned corners: (B, C, h, w) -> (B, C, H, W).

    Args:
        x: Map (B, C, h, w); returned as is if it already has this size.
        size: Output size (H, W) in pixels.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)

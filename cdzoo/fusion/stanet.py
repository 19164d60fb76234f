"""`bam` and `pam`: spatial-temporal attention of STANet.

Source: H. Chen, Z. Shi, "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change Detection",
Remote Sensing 12 (2020), doi 10.3390/rs12101662.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import PositionAttention, normal_init_
from cdzoo.registry import register_fusion
from cdzoo.sizes import missing


class PartAttention(PositionAttention):
    """Attention over the positions of both dates, separately in each of P x P parts of the map.

    The dates are stacked along the batch dimension: (2 B, C, h, w) -> (2 B, C, h, w). P must divide h and w.

    Args:
        channels: Number of channels C of each date.
        parts: Number of parts P along each axis.
        **kwargs: Further arguments of `PositionAttention`.
    """

    def __init__(self, channels: int, parts: int, **kwargs: Any) -> None:
        super().__init__(channels, **kwargs)
        self.parts = parts

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Apply the attention to the dates `x` (2 B, C, h, w)."""
        batch, channels, height, width = x.shape
        p, rows, columns = self.parts, height // self.parts, width // self.parts
        split = x.view(2, batch // 2, channels, p, rows, p, columns).permute(1, 3, 5, 2, 0, 4, 6)  # (B, P, P, C, 2, h/P, w/P)
        y = super().forward(split.reshape(-1, channels, 2 * rows, columns), weight).view(split.shape)
        return y.permute(4, 0, 3, 1, 5, 2, 6).reshape(x.shape)


@register_fusion("bam")
class BAM(LevelFusion):
    """Basic attention module of STANet: attention over all positions of both dates, then their difference x2 - x1.

    Memory grows with the square of the number of pixels of the level.

    Args:
        channels: Number of channels C of each date.
    """

    is_local = False

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.attention = PartAttention(channels, 1, residual="sum")
        normal_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        batch, x = x1.shape[0], self.attention(torch.cat([x1, x2]))
        return x[batch:] - x[:batch]  # `chunk` would fix the batch of an exported program


@register_fusion("pam")
class PAM(LevelFusion):
    """Pyramid attention module of STANet: attention in parts of several sizes, then the difference x2 - x1 of the dates.

    For each number P of `parts`, the map is cut into P x P parts, and each position attends to all positions of both dates in its
    part. The results are concatenated and projected to C channels, without a residual connection. Maps whose size is not a
    multiple of every P are padded by repeating the last row and column.

    Args:
        channels: Number of channels C of each date.
        parts: Numbers of parts along each axis.

    Raises:
        ConfigError: `parts` is empty or has values below 1.
    """

    is_local = False

    def __init__(self, channels: int, parts: Sequence[int] = (1, 2, 4, 8)) -> None:
        if min(parts, default=0) < 1:
            raise ConfigError(f"fusion pam: parts must be integers of at least 1, got {tuple(parts)}")
        super().__init__(channels)
        self.attentions = nn.ModuleList(PartAttention(channels, p, norm=True, residual="none") for p in parts)
        self.join = nn.Conv2d(len(parts) * channels, channels, 1, bias=False)
        self.multiple = math.lcm(*parts)
        normal_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        batch, _, height, width = x1.shape
        down, right = (missing(side, self.multiple) for side in (height, width))
        x = torch.cat([x1, x2])
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode="replicate")
        y = self.join(torch.cat([attention(x) for attention in self.attentions], dim=1))
        y = y[..., :height, :width]
        return y[batch:] - y[:batch]

"""`upsample`: 2x upsampling and projection of every level, as in BIT."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.registry import register_neck


@register_neck("upsample", aliases=("enlarge",))
class Upsample(Neck):
    """2x nearest-neighbor upsampling and Conv3x3 per level: (B, C_i, h, w) -> (B, channels, 2h, 2w).

    Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), arXiv
    2103.00208.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level; even.
        channels: Number of output channels of every level.

    Raises:
        ConfigError: `channels` is below 1, or a stride is odd.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int], channels: int = 32) -> None:
        if channels < 1:
            raise ConfigError(f"neck upsample: channels must be at least 1, got {channels}")
        if any(stride % 2 for stride in in_strides):
            raise ConfigError(f"neck upsample: strides must be even, got {tuple(in_strides)}")
        super().__init__(in_channels, in_strides, [channels] * len(in_channels), [stride // 2 for stride in in_strides])
        self.levels = nn.ModuleList(nn.Conv2d(c, channels, 3, padding=1) for c in in_channels)
        normal_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Upsample the pyramid of one date."""
        return [conv(F.interpolate(x, scale_factor=2)) for conv, x in zip(self.levels, features, strict=True)]


Enlarge = Upsample  # former name

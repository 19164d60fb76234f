"""`enlarge`: one level doubled and projected, as BIT prepares its features."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.part import Neck
from cdzoo.registry import register_neck


@register_neck("enlarge")
class Enlarge(Neck):
    """Every level to twice its size by repeating pixels, then Conv3x3 to `channels`.

    Source: Chen, Qi and Shi, IEEE TGRS 60 (2022), arXiv 2103.00208.

    Args:
        in_channels: Channels of each level.
        in_strides: Stride of each level; even.
        channels: Channels given at every level.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int], channels: int = 32) -> None:
        if channels < 1:
            raise ConfigError(f"neck enlarge: channels must be at least 1, got {channels}")
        if any(stride % 2 for stride in in_strides):
            raise ConfigError(f"neck enlarge halves strides, which must be even, got {tuple(in_strides)}")
        super().__init__(in_channels, in_strides, [channels] * len(in_channels), [stride // 2 for stride in in_strides])
        self.levels = nn.ModuleList(nn.Conv2d(c, channels, 3, padding=1) for c in in_channels)
        normal_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Enlarge the pyramid of one date: (B, C_i, h, w) -> (B, channels, 2 h, 2 w) at each level."""
        return [conv(F.interpolate(x, scale_factor=2)) for conv, x in zip(self.levels, features, strict=True)]

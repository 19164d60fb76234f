"""`changeformer`: the difference modules of ChangeFormer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Fusion
from cdzoo.layers import normal_init_
from cdzoo.registry import register_fusion


class Difference(nn.Sequential):
    """ReLU(Conv3x3(BN(ReLU(Conv3x3(x))))), from 2 C channels; the ReLU comes before the batch norm."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )


@register_fusion("changeformer")
class ChangeFormerFusion(Fusion):
    """D_i = Difference_i([x1_i; x2_i]) + D_(i+1) enlarged bilinearly, from the coarsest level up.

    The difference is learned and depends on the order of the dates. Source: Bandara and Patel, IGARSS 2022, arXiv 2201.01293.

    Args:
        in_channels: Channels C_i of each level.
        in_strides: Stride of each level.
        channels: Channels given at every level; those of the finest level taken by default.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, channels: int | None = None) -> None:
        channels = channels or in_channels[0]
        super().__init__(in_channels, in_strides, [channels] * len(in_channels))
        self.levels = nn.ModuleList(Difference(2 * c, channels) for c in in_channels)
        normal_init_(self)

    def forward(self, features1: list[Tensor], features2: list[Tensor]) -> list[Tensor]:
        """Fuse the pyramids; sizes stay."""
        own = [level(torch.cat(pair, dim=1)) for level, *pair in zip(self.levels, features1, features2, strict=True)]
        for i in range(len(own) - 2, -1, -1):
            own[i] = own[i] + F.interpolate(own[i + 1], size=own[i].shape[-2:], mode="bilinear", align_corners=False)
        return own

"""`changeformer`: difference modules of ChangeFormer.

Source: W. G. C. Bandara, V. M. Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022, arXiv
2201.01293.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Fusion
from cdzoo.layers import normal_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_fusion


class Difference(nn.Sequential):
    """ReLU(Conv3x3(BN(ReLU(Conv3x3(x))))): (B, in_channels, h, w) -> (B, channels, h, w); ReLU precedes batch normalization."""

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
    """Learned differences with a top-down pathway: D_i = Difference_i([x1_i; x2_i]) + upsample(D_(i+1)).

    The output depends on the order of the dates. Upsampling is bilinear.

    Args:
        in_channels: Number of input channels C_i per level.
        in_strides: Stride per level.
        channels: Number of output channels of every level. Default: those of the finest level.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, channels: int | None = None) -> None:
        channels = in_channels[0] if channels is None else channels
        super().__init__(in_channels, in_strides, [channels] * len(in_channels))
        self.levels = nn.ModuleList(Difference(2 * c, channels) for c in in_channels)
        normal_init_(self)

    def forward(self, features1: list[Tensor], features2: list[Tensor]) -> list[Tensor]:
        """Fuse the pyramids of the two dates; spatial sizes are unchanged."""
        fused = [level(torch.cat([x1, x2], dim=1)) for level, x1, x2 in zip(self.levels, features1, features2, strict=True)]
        for i in range(len(fused) - 2, -1, -1):
            fused[i] = fused[i] + resize(fused[i + 1], fused[i].shape[-2:])
        return fused

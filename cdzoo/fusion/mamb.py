"""`mamb`: mix block of TinyCD, a grouped convolution of the interleaved channels of both dates.

Source: A. Codegoni, G. Lombardi, A. Ferrari, "TINYCD: A (Not So) Deep Learning Model For Change Detection", Neural Computing and
Applications 35 (2023), doi 10.1007/s00521-022-08122-3, arXiv 2207.13159.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.layers.instance_norm import InstanceNorm
from cdzoo.registry import register_fusion


@register_fusion("mamb")
class MAMB(LevelFusion):
    """InstanceNorm(PReLU(Conv3x3(y))) with y = x1[0], x2[0], x1[1], x2[1], ...: (B, C, h, w) twice -> (B, C, h, w).

    The convolution has C groups, so output channel i sees channel i of both dates, with 18 weights and a bias.

    Args:
        channels: Number of channels C of each date.
    """

    is_local = False

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.mix = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1, groups=channels), nn.PReLU(), InstanceNorm(channels)
        )

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return self.mix(torch.stack([x1, x2], dim=2).flatten(1, 2))

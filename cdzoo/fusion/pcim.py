"""`pcim`: progressive change identifying module of A2Net.

Source: Z. Li et al., "Lightweight Remote Sensing Change Detection With Progressive Feature Aggregation and Supervised Attention",
IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3241436.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.registry import register_fusion

DILATIONS = (7, 5, 3, 1)


@register_fusion("pcim")
class PCIM(LevelFusion):
    """Dilated convolutions of the absolute difference d = |x1 - x2| in a row, from the largest dilation to the smallest.

    y_1 = BN(Conv3x3(d)) with dilation 7; y_i = BN(Conv3x3(ReLU(Conv1x1(d) + y_(i-1)))) with dilations 5, 3, 1. The output is
    ReLU(Conv1x1(d) + y_4); it does not depend on the order of the dates.

    Args:
        channels: Number of channels C of each date and of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=d, dilation=d), nn.BatchNorm2d(channels)) for d in DILATIONS
        )
        self.points = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in DILATIONS)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        difference = (x1 - x2).abs()
        x = difference
        for branch, point in zip(self.branches, self.points, strict=True):
            x = F.relu(point(difference) + branch(x))
        return x

"""Attention gates of Attention U-Net, with residual double convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.layers.conv import ConvBNReLU
from cdzoo.layers.resize import resize


class GatedMerge(nn.Module):
    """Merge a level l with the upsampled coarser map g: double convolution of [a(l, g) * l; g] with a residual projection.

    The gate is a(l, g) = sigmoid(BN(Conv1x1(ReLU(BN(Conv1x1(g)) + BN(Conv1x1(l)))))), one value per pixel. Upsampling is bilinear
    with aligned corners.

    Source: O. Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", MIDL 2018.

    Args:
        channels: Number of channels C of the level and of the output.
        coarser: Number of channels of the coarser map.
    """

    def __init__(self, channels: int, coarser: int) -> None:
        super().__init__()
        self.gate_coarse = _project(coarser, channels)
        self.gate_fine = _project(channels, channels)
        self.gate = _project(channels, 1)
        self.convs = nn.Sequential(
            ConvBNReLU(channels + coarser, channels, bias=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = _project(channels + coarser, channels)

    def forward(self, level: Tensor, coarser: Tensor) -> Tensor:
        """Merge (B, C, h, w) and (B, coarser, h', w') into (B, C, h, w)."""
        coarser = resize(coarser, level.shape[-2:], align_corners=True)
        gate = self.gate(F.relu(self.gate_coarse(coarser) + self.gate_fine(level))).sigmoid()
        x = torch.cat([gate * level, coarser], dim=1)
        return F.relu(self.convs(x) + self.shortcut(x))


class GatedPath(nn.Module):
    """Merge a pyramid from coarse to fine by `GatedMerge`.

    Args:
        channels: Number of channels per level, finest first.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.merges = nn.ModuleList(GatedMerge(fine, coarse) for fine, coarse in pairwise(channels))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Merge maps (B, C_i, h_i, w_i), finest first, into (B, C_1, h_1, w_1)."""
        *finer, x = features
        for level, merge in reversed(list(zip(finer, self.merges, strict=True))):
            x = merge(level, x)
        return x


def _project(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels))

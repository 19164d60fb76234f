"""Multiplicative decoder cell of DMINet and ICIF-Net."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.layers.conv import ConvBNReLU
from cdzoo.layers.resize import resize


class DecodeCell(nn.Module):
    """Merge a level l with a coarser map d: ConvBNReLU3x3([ReLU(Conv3x3(l) * up(d)); ReLU(up(Conv3x3(d)) * l)]).

    Upsampling is bilinear. All convolutions have a bias.

    Source: Y. Feng et al., "Change Detection on Remote Sensing Images Using Dual-Branch Multilevel Intertemporal Network", IEEE
    TGRS 61 (2023), doi 10.1109/TGRS.2023.3241257.

    Args:
        channels: Number of channels C of both maps and of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(channels, channels, 3, padding=1)
        self.coarse = nn.Conv2d(channels, channels, 3, padding=1)
        self.merge = ConvBNReLU(2 * channels, channels, bias=True)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge (B, C, h, w) and (B, C, h', w') into (B, C, h, w)."""
        size = fine.shape[-2:]
        up, gate = resize(coarse, size), resize(self.coarse(coarse), size)
        return self.merge(torch.cat([F.relu(self.fine(fine) * up), F.relu(gate * fine)], dim=1))


class DecodePath(nn.Module):
    """From coarse to fine: Conv1x1-BN to the channels of the next finer level, merged with it by a `DecodeCell`.

    Args:
        channels: Number of channels per level, finest first.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, fine, 1, bias=False), nn.BatchNorm2d(fine)) for fine, coarse in pairwise(channels)
        )
        self.cells = nn.ModuleList(DecodeCell(fine) for fine in channels[:-1])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Merge maps (B, C_i, h_i, w_i), finest first; returns one map of the same shape per level except the coarsest."""
        *finer, x = features
        outputs: list[Tensor] = []
        for level, project, cell in reversed(list(zip(finer, self.projections, self.cells, strict=True))):
            x = cell(level, project(x))
            outputs.insert(0, x)
        return outputs

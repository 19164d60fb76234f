"""`hanet`: dilated convolutions and hierarchical attention of HANet.

Source: C. Han, C. Wu, H. Guo, M. Hu, H. Chen, "HANet: A Hierarchical Attention Network for Change Detection With Bitemporal
Very-High-Resolution Remote Sensing Images", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3264802.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.layers import PositionAttention, kaiming_init_
from cdzoo.registry import register_fusion

_DILATIONS = (1, 2, 3, 4)
_HIDDEN = 32


class GramAttention(nn.Module):
    """x + gamma y, where each channel of y is a weighted mean of all channels of x: (B, C, h, w) -> (B, C, h, w).

    The weights are the softmax of minus the products of the channels, so that similar channels count less. gamma is learned and
    starts at 0.

    Source: J. Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the attention to a map."""
        pixels = x.flatten(2)  # (B, C, h w)
        energy = pixels @ pixels.transpose(1, 2)  # (B, C, C)
        # Subtracted from the maximum as in the official code: the softmax is the same, but rounds differently.
        weight = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
        return x + self.gamma * (weight @ pixels).view(x.shape)


class LineAttention(PositionAttention):
    """Attention among the pixels of the same row or of the same column: (B, C, h, w) -> (B, C, h, w).

    Args:
        channels: Number of channels C, also of queries and keys.
        columns: Attend within columns instead of rows.
    """

    def __init__(self, channels: int, columns: bool) -> None:
        super().__init__(channels, scaled=False, reduction=1)
        self.columns = columns

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Apply the attention to a map."""
        lines = x.permute(0, 3, 1, 2) if self.columns else x.permute(0, 2, 1, 3)  # (B, lines, C, pixels)
        y = super().forward(lines.flatten(0, 1)[:, :, None], weight)[:, :, 0].view(lines.shape)
        return y.permute(0, 2, 3, 1) if self.columns else y.permute(0, 2, 1, 3)


@register_fusion("hanet")
class HANetFusion(LevelFusion):
    """Convolutions of the concatenation with four dilations, then channel attention plus column and row attention.

    The attentions of rows and columns have a memory of (h + w) h w per map and no 1 / sqrt(C) in front of their products.

    Args:
        channels: Number of channels C of each date.
    """

    is_local = False

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        groups = channels // 2 if channels % 2 == 0 else channels
        self.dilated = nn.ModuleList(
            nn.Conv2d(2 * channels, channels, 3, padding=rate, dilation=rate, groups=groups) for rate in _DILATIONS
        )
        self.merge = nn.Conv2d(len(_DILATIONS) * channels, channels, 1)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN, 3, padding=1),
            nn.BatchNorm2d(_HIDDEN),
            nn.PReLU(),
            GramAttention(),
            nn.Conv2d(_HIDDEN, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
        )
        self.columns = LineAttention(channels, columns=True)
        self.rows = LineAttention(channels, columns=False)
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        x = torch.cat([x1, x2], dim=1)
        x = self.merge(torch.cat([conv(x) for conv in self.dilated], dim=1))
        return self.channel(x) + self.rows(self.columns(x))

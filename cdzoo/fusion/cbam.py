"""CBAM attention, and `cbam`: CBAM of the difference alone, one rival of BFA in GLMamba's Table II.

Source: S. Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import kaiming_init_
from cdzoo.registry import register_fusion


class ChannelAttention(nn.Module):
    """x * sigmoid(MLP(mean over pixels) + MLP(max over pixels)), one MLP C -> max(1, C / reduction) -> C for both."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Weight the channels of (B, C, h, w)."""
        weight = self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True))
        return x * weight.sigmoid()


class SpatialAttention(nn.Module):
    """x * sigmoid(ReLU(BN(Conv7x7([mean; max over channels])))).

    With `norm=False` it is the plain CBAM, without batch norm and ReLU. (With the ReLU the weight never falls below 0.5.)
    """

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Weight the positions of (B, C, h, w)."""
        weight = self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1))
        if self.norm is not None:
            weight = F.relu(self.norm(weight))
        return x * weight.sigmoid()


class CBAM(nn.Sequential):
    """Channel attention, then spatial attention, on one map.

    Args:
        channels: Channels C of the map.
        reduction: Divisor of the hidden width of the channel attention.
        norm: Batch norm and ReLU inside the spatial attention, as in GLMamba; False for the plain CBAM.
    """

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True) -> None:
        if reduction < 1:
            raise ConfigError(f"cbam: reduction must be at least 1, got {reduction}")
        super().__init__(ChannelAttention(channels, reduction), SpatialAttention(norm))


@register_fusion("cbam")
class CBAMFusion(LevelFusion):
    """CBAM(x2 - x1).

    Args:
        channels: Channels C of each date.
        reduction: Divisor of the hidden width of the channel attention.
        norm: Batch norm and ReLU inside the spatial attention, as in GLMamba; False for the plain CBAM.
    """

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True) -> None:
        super().__init__(channels)
        self.cbam = CBAM(channels, reduction, norm)
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two (B, C, h, w) into one."""
        return self.cbam(x2 - x1)

"""`cbam`: CBAM attention on the difference, a baseline of BFA in Table II of GLMamba.

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
    """Channel attention x * sigmoid(MLP(mean over pixels) + MLP(max over pixels)) with a shared MLP.

    Args:
        channels: Number of channels C of the map.
        reduction: Reduction ratio of the hidden channels, max(1, C / reduction).
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Weight the channels of a map (B, C, h, w)."""
        weight = self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True))
        return x * weight.sigmoid()


class SpatialAttention(nn.Module):
    """Spatial attention x * sigmoid(ReLU(BN(Conv7x7([mean over channels; max over channels])))).

    Because of the ReLU, weights are at least 0.5.

    Args:
        norm: Apply batch normalization and ReLU, as in GLMamba; False for the original CBAM.
    """

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Weight the positions of a map (B, C, h, w)."""
        weight = self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1))
        if self.norm is not None:
            weight = F.relu(self.norm(weight))
        return x * weight.sigmoid()


class CBAM(nn.Sequential):
    """Channel attention followed by spatial attention: (B, C, h, w) -> (B, C, h, w).

    Args:
        channels: Number of channels C of the map.
        reduction: Reduction ratio of the hidden channels of the channel attention.
        norm: Apply batch normalization and ReLU in the spatial attention, as in GLMamba; False for the original CBAM.

    Raises:
        ConfigError: `reduction` is below 1.
    """

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True) -> None:
        if reduction < 1:
            raise ConfigError(f"CBAM: reduction must be at least 1, got {reduction}")
        super().__init__(ChannelAttention(channels, reduction), SpatialAttention(norm))


@register_fusion("cbam")
class CBAMFusion(LevelFusion):
    """CBAM attention on the difference of the dates: CBAM(x2 - x1).

    Args:
        channels: Number of channels C of each date.
        reduction: Reduction ratio of the hidden channels of the channel attention.
        norm: Apply batch normalization and ReLU in the spatial attention, as in GLMamba; False for the original CBAM.

    Raises:
        ConfigError: `reduction` is below 1.
    """

    is_local = False

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True) -> None:
        super().__init__(channels)
        self.cbam = CBAM(channels, reduction, norm)
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return self.cbam(x2 - x1)

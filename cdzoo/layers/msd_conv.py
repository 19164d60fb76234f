"""Multiscale decoupled convolution of USSFC-Net.

Sources: T. Lei et al., "Ultralightweight Spatial-Spectral Feature Cooperation Network for Change Detection in Remote Sensing
Images", IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3261273; D. Li, A. Yao, Q. Chen, "PSConv: Squeezing Feature Pyramid into One
Compact Poly-Scale Convolutional Layer", ECCV 2020, arXiv 2007.06191, for the cyclic convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers.conv import ConvBNReLU

_CYCLE = 4


class CyclicConv(nn.Module):
    """Sum of three Conv3x3 with different dilations: (B, C, h, w) -> (B, C, h, w).

    Depthwise with dilation 3; depthwise with dilation 6 on channels whose halves are exchanged within every four; in groups of
    four channels without dilation. The weights of the last one start at zero and are not trained where the official code masks
    them: input channel i of a group and output channels i + j C / 4 and (i + 2) mod 4 + j C / 4 for j = 0, ..., 3. It intends to
    mask what the dilated convolutions see, i.e. 4 j instead of j C / 4.

    Args:
        channels: Number of channels C; a multiple of 4.
    """

    mask: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.groups = channels // _CYCLE
        self.dilated = nn.Conv2d(channels, channels, 3, padding=3, dilation=3, groups=channels, bias=False)
        self.shifted = nn.Conv2d(channels, channels, 3, padding=6, dilation=6, groups=channels, bias=False)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=self.groups, bias=False)
        mask = torch.zeros(channels, _CYCLE, 1, 1, dtype=torch.bool)
        for i in range(_CYCLE):
            for row in (i, (i + _CYCLE // 2) % _CYCLE):
                mask[row :: self.groups, i] = True
        self.register_buffer("mask", mask, persistent=False)
        with torch.no_grad():
            self.conv.weight.masked_fill_(mask, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Sum the convolutions of a map."""
        batch, _, height, width = x.shape
        halves = x.reshape(batch, self.groups, 2, _CYCLE // 2, height, width)
        shifted = self.shifted(halves.flip(2).flatten(1, 3))
        weight = torch.where(self.mask, self.conv.weight.detach(), self.conv.weight)  # no gradient where masked
        return self.dilated(x) + F.conv2d(x, weight, padding=1, groups=self.groups) + shifted


class SpatialSpectralGate(nn.Module):
    """x * sigmoid(s / (2 mean(s)) + 0.5) with s = (x - mean(x))^2 and means over the pixels of each channel; no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """Weight a map (B, C, h, w)."""
        square = (x - x.mean((2, 3), keepdim=True)).square()
        return x * (square / (2 * square.mean((2, 3), keepdim=True) + torch.finfo(torch.float32).eps) + 0.5).sigmoid()


class MSDConv(nn.Module):
    """[y; gate(ReLU(BN(CyclicConv(y))))] with y = ReLU(BN(Conv1x1(x))): (B, in_channels, h, w) -> (B, out_channels, h, w).

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels; a multiple of 8.

    Raises:
        ConfigError: `out_channels` is no multiple of 8.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if out_channels < 1 or out_channels % (2 * _CYCLE):
            raise ConfigError(f"multiscale decoupled convolutions need a multiple of {2 * _CYCLE} channels, got {out_channels}")
        half = out_channels // 2
        self.native = ConvBNReLU(in_channels, half, 1)
        self.cyclic = nn.Sequential(CyclicConv(half), nn.BatchNorm2d(half), nn.ReLU(inplace=True))
        self.gate = SpatialSpectralGate()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a map."""
        y = self.native(x)
        return torch.cat([y, self.gate(self.cyclic(y))], dim=1)


def msd_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two multiscale decoupled convolutions, each followed by BN and ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [MSDConv(channels, out_channels), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)

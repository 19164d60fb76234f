"""Residual block of SNUNet and HANet, whose shortcut starts after the first convolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualConv(nn.Module):
    """ReLU(BN(Conv(ReLU(BN(y)))) + y) with y = Conv3x3(x): (B, in_channels, h, w) -> (B, channels, h, w).

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels.
        pointwise: Whether the second convolution is 1x1 without bias, as in HANet, instead of 3x3 with bias, as in SNUNet.
    """

    def __init__(self, in_channels: int, channels: int, pointwise: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        kernel_size, padding = (1, 0) if pointwise else (3, 1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size, padding=padding, bias=not pointwise)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        x = self.conv1(x)
        return F.relu(self.norm2(self.conv2(F.relu(self.norm1(x)))) + x)

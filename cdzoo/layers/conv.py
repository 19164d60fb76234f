"""Convolution with batch normalization and ReLU."""

from __future__ import annotations

from torch import nn


class ConvBNReLU(nn.Sequential):
    """Convolution of stride 1, batch normalization and ReLU: (B, in_channels, H, W) -> (B, out_channels, H, W).

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Kernel size; odd, so that the spatial size is preserved.
        bias: Give the convolution a bias, which batch normalization makes redundant, as some official networks do.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, bias: bool = False) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

"""Convolution block of FC-EF, FC-Siam-Conc and FC-Siam-Diff."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class UNetConv(nn.Sequential):
    """Dropout2d(ReLU(BN(Conv3x3(x)))): (B, in_channels, H, W) -> (B, out_channels, H, W).

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        dropout: Dropout rate of whole channels.
        transposed: Use a transposed convolution of stride 1, as the decoder of the official code does. It is equivalent to
            a convolution, but its kernel is stored flipped and with the first two axes swapped.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float, transposed: bool = False) -> None:
        conv = nn.ConvTranspose2d if transposed else nn.Conv2d
        super().__init__(
            OrderedDict(
                conv=conv(in_channels, out_channels, 3, padding=1),
                norm=nn.BatchNorm2d(out_channels),
                act=nn.ReLU(inplace=True),
                drop=nn.Dropout2d(dropout),
            )
        )

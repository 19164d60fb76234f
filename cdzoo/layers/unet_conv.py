"""The convolution of the FC networks' encoder and decoder."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class UNetConv(nn.Sequential):
    """Dropout2d(ReLU(BN(Conv3x3(x)))): (B, in_channels, H, W) -> (B, out_channels, H, W).

    Args:
        in_channels: Channels taken.
        out_channels: Channels given.
        dropout: Share of whole channels that training drops.
        transposed: A transposed convolution of stride 1, as in the decoder of the authors' code: the same map, with the
            kernel stored flipped and its first two axes swapped.
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

"""Unit of ShuffleNet V2."""

from __future__ import annotations

from torch import nn


def shuffle_unit(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """Return a unit of ShuffleNet V2: (B, in_channels, h, w) -> (B, out_channels, h / stride, w / stride).

    With stride 1, which requires equal channels, half of the channels pass unchanged.

    Source: N. Ma et al., "ShuffleNet V2", ECCV 2018, arXiv 1807.11164.

    Args:
        in_channels: Number of input channels; even for stride 1.
        out_channels: Number of output channels; even.
        stride: 1 or 2.
    """
    from torchvision.models.shufflenetv2 import InvertedResidual  # imported here because torchvision takes long to import

    return InvertedResidual(in_channels, out_channels, stride)

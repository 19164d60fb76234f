"""CBAM: channel and spatial attention.

Source: S. Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError


class ChannelAttention(nn.Module):
    """Channel attention x * sigmoid(MLP(mean over pixels) + MLP(max over pixels)) with a shared MLP.

    Args:
        channels: Number of channels C of the map.
        reduction: Reduction ratio of the hidden channels, max(1, C / reduction).
        bias: Whether the layers of the MLP have a bias.

    Raises:
        ConfigError: `reduction` is below 1.
    """

    def __init__(self, channels: int, reduction: int, bias: bool = True) -> None:
        super().__init__()
        self.mlp = channel_mlp(channels, reduction, nn.ReLU(inplace=True), bias)
        self.gate = nn.Sigmoid()

    def weight(self, x: Tensor) -> Tensor:
        """Return the weight of each channel of a map (B, C, h, w): (B, C, 1, 1) in [0, 1]."""
        return self.gate(channel_scores(self.mlp, x))

    def forward(self, x: Tensor) -> Tensor:
        """Weight the channels of a map (B, C, h, w)."""
        return x * self.weight(x)


class SpatialAttention(nn.Module):
    """Spatial attention x * sigmoid(Conv7x7([mean over channels; max over channels])).

    Args:
        norm: Apply batch normalization and ReLU before the sigmoid, as in GLMamba. Because of the ReLU, weights are then at least
            0.5.
        bias: Whether the convolution has a bias.
    """

    def __init__(self, norm: bool, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=bias)
        self.norm = nn.BatchNorm2d(1) if norm else None
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Weight the positions of a map (B, C, h, w)."""
        weight = self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1))
        if self.norm is not None:
            weight = F.relu(self.norm(weight))
        return x * self.gate(weight)


class CBAM(nn.Sequential):
    """Channel attention followed by spatial attention: (B, C, h, w) -> (B, C, h, w).

    Args:
        channels: Number of channels C of the map.
        reduction: Reduction ratio of the hidden channels of the channel attention.
        norm: Apply batch normalization and ReLU in the spatial attention, as in GLMamba; False for the original CBAM.
        biases: Whether the channel attention and the spatial attention have biases.

    Raises:
        ConfigError: `reduction` is below 1.
    """

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True, biases: tuple[bool, bool] = (True, False)) -> None:
        super().__init__(ChannelAttention(channels, reduction, biases[0]), SpatialAttention(norm, biases[1]))


def channel_mlp(channels: int, reduction: int, activation: nn.Module, bias: bool) -> nn.Sequential:
    """Return two 1x1 convolutions with max(1, C / reduction) channels between them: (B, C, 1, 1) -> (B, C, 1, 1).

    Raises:
        ConfigError: `reduction` is below 1.
    """
    if reduction < 1:
        raise ConfigError(f"channel attention (CBAM): reduction must be at least 1, got {reduction}")
    hidden = max(1, channels // reduction)
    return nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=bias), activation, nn.Conv2d(hidden, channels, 1, bias=bias))


def channel_scores(mlp: nn.Module, x: Tensor) -> Tensor:
    """Return the sum of an MLP applied to the mean and to the maximum over the pixels of a map (B, C, h, w): (B, C, 1, 1)."""
    return mlp(x.mean((2, 3), keepdim=True)) + mlp(x.amax((2, 3), keepdim=True))

"""Pixelwise multilayer perceptron with PReLU."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


class PixelMLP(nn.Sequential):
    """Conv1x1 with bias and PReLU per layer: (B, channels[0], h, w) -> (B, channels[-1], h, w).

    The slope of a PReLU is shared by all channels.

    Args:
        channels: Number of channels of the input and of each layer, at least two numbers.
        last_activation: Apply PReLU after the last layer, too.
    """

    def __init__(self, channels: Sequence[int], last_activation: bool = False) -> None:
        layers = [[nn.Conv2d(a, b, 1), nn.PReLU()] for a, b in pairwise(channels)]
        if not last_activation:
            layers[-1].pop()
        super().__init__(*(nn.Sequential(*layer) for layer in layers))

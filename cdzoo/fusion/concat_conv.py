"""`concat_conv`: concatenation and convolution, the fusion of RS-Mamba and CGNet."""

from __future__ import annotations

import torch
from torch import Tensor

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.registry import register_fusion


@register_fusion("concat_conv")
class ConcatConv(LevelFusion):
    """Concatenate the dates and project them to C channels: ReLU(BN(Conv([x1; x2]))).

    Sources: S. Zhao et al., "RS-Mamba for Large Remote Sensing Image Dense Prediction", IEEE TGRS 62 (2024), arXiv 2404.02668;
    C. Han et al., "Change Guiding Network", IEEE JSTARS 16 (2023).

    Args:
        channels: Number of channels C of each date.
        kernel_size: Kernel size; odd.
        reverse: Concatenate the second date first, [x2; x1], as in CGNet.

    Raises:
        ConfigError: `kernel_size` is even or below 1.
    """

    def __init__(self, channels: int, kernel_size: int = 1, reverse: bool = False) -> None:
        super().__init__(channels)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f"fusion concat_conv: kernel_size must be odd, got {kernel_size}")
        self.reverse = reverse
        self.fuse = ConvBNReLU(2 * channels, channels, kernel_size)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return self.fuse(torch.cat([x2, x1] if self.reverse else [x1, x2], dim=1))

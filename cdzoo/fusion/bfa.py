"""`bfa`: bitemporal feature aggregation of GLMamba (Eq. 15-22).

Source: S. Liu et al., IEEE JSTARS 19 (2026), doi 10.1109/JSTARS.2026.3675679.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.layers import CBAM, ConvBNReLU, kaiming_init_
from cdzoo.registry import register_fusion


@register_fusion("bfa")
class BFA(LevelFusion):
    """CBAM attention on the difference plus convolutions on the concatenation: Z_d + Z_c.

    Z_d = CBAM(x2 - x1); Z_c = ConvBNReLU1x1(ConvBNReLU3x3([x1; x2])), where the 3x3 convolution has 2 C output channels.

    Args:
        channels: Number of channels C of each date.
        reduction: Reduction ratio of the hidden channels of the channel attention.
        norm: Apply batch normalization and ReLU in the spatial attention.

    Raises:
        ConfigError: `reduction` is below 1.
    """

    is_local = False

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True) -> None:
        super().__init__(channels)
        self.difference = CBAM(channels, reduction, norm)
        self.combination = nn.Sequential(ConvBNReLU(2 * channels, 2 * channels), ConvBNReLU(2 * channels, channels, 1))
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return self.difference(x2 - x1) + self.combination(torch.cat([x1, x2], dim=1))

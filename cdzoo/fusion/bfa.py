"""`bfa`: the bitemporal feature aggregation of GLMamba (Eq. 15-22)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.fusion.cbam import CBAM
from cdzoo.layers import ConvBNReLU, kaiming_init_
from cdzoo.registry import register_fusion


@register_fusion("bfa")
class BFA(LevelFusion):
    """Attention on the difference plus convolutions on both dates: Z_d + Z_c.

    Z_d = CBAM(x2 - x1);  Z_c = ConvBNReLU1x1(ConvBNReLU3x3([x1; x2])), the 3x3 keeping 2 C channels.

    Args:
        channels: Channels C of each date.
        reduction: Divisor of the hidden width of CBAM's channel attention.
        norm: Batch norm and ReLU inside CBAM's spatial attention.
    """

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True) -> None:
        super().__init__(channels)
        self.difference = CBAM(channels, reduction, norm)
        self.combination = nn.Sequential(ConvBNReLU(2 * channels, 2 * channels), ConvBNReLU(2 * channels, channels, 1))
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two (B, C, h, w) into one."""
        return self.difference(x2 - x1) + self.combination(torch.cat([x1, x2], dim=1))

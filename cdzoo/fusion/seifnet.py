"""`seifnet`: spatiotemporal difference enhancement module of SEIFNet.

Source: Y. Huang, X. Li, Z. Du, H. Shen, "Spatiotemporal Enhancement and Interlevel Fusion Network for Remote Sensing Images
Change Detection", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3360516.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.layers import ConvBNReLU, normal_init_
from cdzoo.registry import register_fusion

_REDUCTION, _MIN_HIDDEN = 16, 8


@register_fusion("seifnet")
class SEIFNetFusion(LevelFusion):
    """Convolutions of the concatenation plus coordinate attention of the difference: Z_c + Z_d.

    Z_c = ReLU(BN(Conv1x1(ReLU(BN(Conv3x3([x1; x2])))))), where the 3x3 convolution has 2 C output channels. Z_d weights |x1 - x2|
    by its means over rows and columns (Q. Hou et al., "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021),
    with max(8, C / 16) hidden channels.

    Args:
        channels: Number of channels C of each date.
    """

    is_local = False

    def __init__(self, channels: int) -> None:
        from timm.layers.coord_attn import CoordAttn  # imported here because timm takes seconds to import

        super().__init__(channels)
        self.combine = nn.Sequential(
            *ConvBNReLU(2 * channels, 2 * channels, bias=True), *ConvBNReLU(2 * channels, channels, 1, bias=True)
        )
        self.attention = CoordAttn(channels, rd_channels=max(_MIN_HIDDEN, channels // _REDUCTION), bias=True)
        normal_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return self.combine(torch.cat([x1, x2], dim=1)) + self.attention((x1 - x2).abs())

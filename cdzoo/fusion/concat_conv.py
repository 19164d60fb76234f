"""`concat_conv`: both dates joined and projected, as RS-Mamba fuses them."""

from __future__ import annotations

import torch
from torch import Tensor

from cdzoo.components import LevelFusion
from cdzoo.layers import ConvBNReLU
from cdzoo.registry import register_fusion


@register_fusion("concat_conv")
class ConcatConv(LevelFusion):
    """ReLU(BN(Conv1x1([x1; x2]))): 2 C channels to C.

    Source: S. Zhao et al., "RS-Mamba for Large Remote Sensing Image Dense Prediction", IEEE TGRS 62 (2024), arXiv 2404.02668.

    Args:
        channels: Channels C of each date.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.fuse = ConvBNReLU(2 * channels, channels, 1)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two (B, C, h, w) into one."""
        return self.fuse(torch.cat([x1, x2], dim=1))

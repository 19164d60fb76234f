"""`cbam`: CBAM attention on the difference, a baseline of BFA in Table II of GLMamba.

Source: S. Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.
"""

from __future__ import annotations

from torch import Tensor

from cdzoo.components import LevelFusion
from cdzoo.layers import CBAM, kaiming_init_
from cdzoo.registry import register_fusion

__all__ = ["CBAM", "CBAMFusion"]


@register_fusion("cbam")
class CBAMFusion(LevelFusion):
    """CBAM attention on the difference of the dates: CBAM(x2 - x1).

    Args:
        channels: Number of channels C of each date.
        reduction: Reduction ratio of the hidden channels of the channel attention.
        norm: Apply batch normalization and ReLU in the spatial attention, as in GLMamba; False for the original CBAM.

    Raises:
        ConfigError: `reduction` is below 1.
    """

    is_local = False

    def __init__(self, channels: int, reduction: int = 16, norm: bool = True) -> None:
        super().__init__(channels)
        self.cbam = CBAM(channels, reduction, norm)
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return self.cbam(x2 - x1)

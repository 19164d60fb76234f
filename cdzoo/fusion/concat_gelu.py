"""`concat_gelu`: concatenation, 1x1 convolution and GELU, the fusion of ELGC-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.registry import register_fusion


@register_fusion("concat_gelu")
class ConcatGELU(LevelFusion):
    """Concatenate the dates and project them to C channels: GELU(Conv1x1([x1; x2])). There is no norm.

    Source: M. Noman et al., "ELGC-Net", IEEE TGRS 62 (2024), arXiv 2403.17909.

    Args:
        channels: Number of channels C of each date.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return F.gelu(self.fuse(torch.cat([x1, x2], dim=1)))

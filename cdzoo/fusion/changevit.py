"""`changevit`: learned differences of ChangeViT.

Source: D. Zhu et al., "ChangeViT", arXiv 2406.12847.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.layers import ConvBNReLU
from cdzoo.registry import register_fusion


@register_fusion("changevit")
class ChangeViTFusion(LevelFusion):
    """Bottleneck of C / 4 channels on [x1; x2; |x1 - x2|]: Conv1x1-BN-ReLU, two Conv3x3-ReLU, Conv3x3 to C channels.

    The convolutions have no bias. The output depends on the order of the dates.

    Args:
        channels: Number of channels C of each date.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        hidden = max(1, channels // 4)
        self.layers = nn.Sequential(
            *ConvBNReLU(3 * channels, hidden, 1),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 3, padding=1, bias=False),
        )

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        return self.layers(torch.cat([x1, x2, (x1 - x2).abs()], dim=1))

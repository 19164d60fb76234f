"""`cdmamba`: decoder of CDMamba.

Source: H. Zhang et al., "CDMamba", IEEE TGRS 63 (2025), arXiv 2406.04207.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.layers.mamba import MambaBlock, group_norm
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder


class Upsample(nn.Module):
    """Conv1x1 without bias and bilinear resizing: (B, in_channels, h, w) -> (B, channels, H, W)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Upsample a map to `size` (H, W)."""
        return resize(self.conv(x), size)


@register_decoder("cdmamba")
class CDMambaDecoder(Decoder):
    """From coarse to fine: Conv1x1, bilinear upsampling, addition to the next finer level, block of scans.

    Returns the finest level after group norm and ReLU. The blocks have depthwise and pointwise convolutions.

    Args:
        in_channels: Number of input channels per level; any number of levels.
        in_strides: Stride per level.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None) -> None:
        super().__init__(in_channels, in_strides, in_channels[:1])
        self.ups = nn.ModuleList(Upsample(coarse, fine) for fine, coarse in pairwise(in_channels))
        self.blocks = nn.ModuleList(MambaBlock(channels, separable=True) for channels in in_channels[:-1])
        self.norm = group_norm(in_channels[0])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, C_1, h, w) of the size of its finest level."""
        *finer, x = features
        for level, up, block in reversed(list(zip(finer, self.ups, self.blocks, strict=True))):
            x = block(level + up(x, level.shape[-2:]))
        return [F.relu(self.norm(x))]

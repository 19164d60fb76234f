"""`seifnet`: interlevel fusion of SEIFNet.

Source: Y. Huang, X. Li, Z. Du, H. Shen, "Spatiotemporal Enhancement and Interlevel Fusion Network for Remote Sensing Images
Change Detection", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3360516.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.layers import CBAM, ChannelAttention, ConvBNReLU, normal_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder

_REDUCTION = 16


class Refine(nn.Sequential):
    """CBAM, Conv3x3 (with bias), BN and ReLU: (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            CBAM(channels, _REDUCTION, norm=False, biases=(False, True)),
            *ConvBNReLU(channels, channels, bias=True),
        )


class ContextFusion(nn.Module):
    """Weighted mean w l + (1 - w) h of a level l and the next coarser one, which is resized and projected to h.

    The weight w of each channel is the channel attention of l + h. Resizing is bilinear with aligned corners.

    Args:
        channels: Number of channels of the level.
        coarser: Number of channels of the next coarser level.
    """

    def __init__(self, channels: int, coarser: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(coarser, channels, 1), nn.BatchNorm2d(channels))
        self.attention = ChannelAttention(channels, _REDUCTION, bias=False)

    def forward(self, level: Tensor, coarser: Tensor) -> Tensor:
        """Fuse (B, channels, h, w) and (B, coarser, h', w') into (B, channels, h, w)."""
        high = F.relu(self.project(resize(coarser, level.shape[-2:], align_corners=True)))
        weight = self.attention.weight(high + level)
        return level * weight + high * (1 - weight)


@register_decoder("seifnet")
class SEIFNetDecoder(Decoder):
    """From coarse to fine: fusion with the next coarser level and refinement of every level by CBAM and a convolution.

    Args:
        in_channels: Number of input channels C_i per level; the output has the same.
        in_strides: Stride per level.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None) -> None:
        super().__init__(in_channels, in_strides)
        self.refine = nn.ModuleList(Refine(c) for c in in_channels)
        self.fuse = nn.ModuleList(ContextFusion(*pair) for pair in pairwise(in_channels))
        normal_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Refine the pyramid; the output has the same shapes."""
        outputs = [self.refine[-1](features[-1])]
        for level, fuse, refine in reversed(list(zip(features[:-1], self.fuse, self.refine[:-1], strict=True))):
            outputs.insert(0, refine(fuse(level, outputs[0])))
        return outputs

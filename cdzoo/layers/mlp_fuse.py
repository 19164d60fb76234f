"""All-MLP decoder of SegFormer without its classifier: levels of any sizes merged into one map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.layers.conv import ConvBNReLU
from cdzoo.layers.resize import resize


class MLPFuse(nn.Module):
    """Conv1x1-BN-ReLU per level, bilinear resizing to the finest level, concatenation, Conv1x1-BN-ReLU.

    Source: E. Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021.

    Args:
        in_channels: Number of input channels per level, finest first.
        channels: Number of channels of each projected level.
        out_channels: Number of output channels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, out_channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(ConvBNReLU(c, channels, 1) for c in in_channels)
        self.join = ConvBNReLU(len(in_channels) * channels, out_channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Merge maps (B, C_i, h_i, w_i), finest first, into one (B, out_channels, h_1, w_1)."""
        size = features[0].shape[-2:]
        return self.join(torch.cat([resize(level(x), size) for level, x in zip(self.levels, features, strict=True)], dim=1))

"""`nam`: neighbor aggregation module of A2Net.

Source: Z. Li et al., "Lightweight Remote Sensing Change Detection With Progressive Feature Aggregation and Supervised Attention",
IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3241436.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.compatibility import check_doubling
from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.layers.resize import resize
from cdzoo.registry import register_neck


class NeighborAggregation(nn.Module):
    """Aggregate a level and its neighbors, each after Conv3x3-BN-ReLU, with a shortcut from the level.

    ReLU(BN(Conv3x3(ConvBNReLU3x3([finer; same; coarser]))) + Conv1x1(x)). The finer level is max-pooled before its convolution,
    the coarser one is resized bilinearly after it.

    Args:
        finer: Number of channels of the finer level, which has twice the size; None if there is none.
        same: Number of channels of the level.
        coarser: Number of channels of the coarser level, which has half the size; None if there is none.
        hidden: Number of channels after the first convolutions.
        channels: Number of output channels C.
    """

    def __init__(self, finer: int | None, same: int, coarser: int | None, hidden: int, channels: int) -> None:
        super().__init__()
        self.finer = None if finer is None else nn.Sequential(nn.MaxPool2d(2), ConvBNReLU(finer, hidden, bias=True))
        self.same = ConvBNReLU(same, hidden, bias=True)
        self.coarser = None if coarser is None else ConvBNReLU(coarser, hidden, bias=True)
        inputs = hidden * (3 - (finer is None) - (coarser is None))
        self.fuse = nn.Sequential(
            *ConvBNReLU(inputs, channels, bias=True), nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        )
        self.shortcut = nn.Conv2d(same, channels, 1)

    def forward(self, finer: Tensor | None, same: Tensor, coarser: Tensor | None) -> Tensor:
        """Aggregate maps of sizes (2h, 2w), (h, w) and (h / 2, w / 2) into (B, C, h, w)."""
        maps = [self.same(same)]
        if self.finer is not None:
            maps.insert(0, self.finer(finer))
        if self.coarser is not None:
            maps.append(resize(self.coarser(coarser), same.shape[-2:]))
        return F.relu(self.fuse(torch.cat(maps, dim=1)) + self.shortcut(same))


@register_neck("nam")
class NAM(Neck):
    """Neighbor aggregation at every level, computed from the levels of the backbone; all outputs have the same channels.

    Args:
        in_channels: Number of channels per level.
        in_strides: Stride per level; each twice the previous one.
        channels: Number of output channels of every level.
        hidden: Number of channels after the first convolutions.

    Raises:
        ConfigError: `channels` or `hidden` is below 1, or the strides do not double.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int], channels: int = 64, hidden: int = 32) -> None:
        if min(channels, hidden) < 1:
            raise ConfigError(f"neck nam: channels and hidden must be at least 1, got {channels} and {hidden}")
        check_doubling("neck nam", in_strides)
        super().__init__(in_channels, in_strides, [channels] * len(in_channels), pad_multiple=max(in_strides))
        padded = [None, *in_channels, None]
        self.levels = nn.ModuleList(
            NeighborAggregation(padded[i], same, padded[i + 2], hidden, channels) for i, same in enumerate(in_channels)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Aggregate the pyramid of one date; spatial sizes are unchanged."""
        padded = [None, *features, None]
        return [level(*padded[i : i + 3]) for i, level in enumerate(self.levels)]

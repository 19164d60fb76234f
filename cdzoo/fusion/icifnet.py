"""`icifnet`: cross interaction and decoders of each date of ICIF-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Fusion
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.layers.cross_interaction import CrossInteraction
from cdzoo.layers.decode_cell import DecodePath
from cdzoo.layers.gated_merge import GatedPath
from cdzoo.registry import register_fusion


class DateDecoder(nn.Module):
    """Cross interaction at every level of one date, and three decoders: for both attentions and for their combination.

    Args:
        conv_channels: Number of channels of the convolutional features per level.
        channels: Number of channels of the transformer features per level.
    """

    def __init__(self, conv_channels: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.split = [[conv, transformer] for conv, transformer in zip(conv_channels, channels, strict=True)]
        self.levels = nn.ModuleList(CrossInteraction(conv, transformer) for conv, transformer in self.split)
        self.attended = nn.ModuleList(DecodePath(channels) for _ in range(2))
        self.joined = GatedPath(conv_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Decode a pyramid into three maps of the size of its finest level: attention of S, of Y, combination."""
        halves = [torch.split(x, sizes, dim=1) for x, sizes in zip(features, self.split, strict=True)]
        joined, *attended = zip(*(level(*parts) for level, parts in zip(self.levels, halves, strict=True)), strict=True)
        decoded = [decoder(pyramid)[0] for decoder, pyramid in zip(self.attended, attended, strict=True)]
        return [*decoded, self.joined(joined)]


@register_fusion("icifnet")
class ICIFNetFusion(Fusion):
    """Absolute differences of three maps that are decoded for each date from convolutional and transformer features.

    The input levels are concatenations of both kinds of features, as of the backbone `dual`. The dates have separate weights. The
    output is one level at the finest stride: the differences of the attention of the transformer features to the convolutional
    ones, of the converse, and of their combination.

    Source: Y. Feng, H. Xu, J. Jiang, H. Liu, J. Zheng, "ICIF-Net: Intra-Scale Cross-Interaction and Inter-Scale Feature Fusion
    Network for Bitemporal Remote Sensing Images Change Detection", IEEE TGRS 60 (2022), doi 10.1109/TGRS.2022.3168331.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level.
        conv_channels: Number of channels of the convolutional features per level; half of the channels by default.

    Raises:
        ConfigError: There is only one level, or `conv_channels` does not fit the levels.
    """

    is_local = False

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        conv_channels: Sequence[int] | None = None,
    ) -> None:
        if len(in_channels) < 2:
            raise ConfigError("fusion icifnet needs at least two levels; use the fusion 'concat' or 'abs_diff'")
        widths = [c // 2 for c in in_channels] if conv_channels is None else list(conv_channels)
        if len(widths) != len(in_channels) or any(not 1 <= width < c for width, c in zip(widths, in_channels, strict=True)):
            raise ConfigError(
                f"fusion icifnet: conv_channels must be from 1 to below the channels {tuple(in_channels)}, one per level, got "
                f"{tuple(widths)}"
            )
        others = [c - width for c, width in zip(in_channels, widths, strict=True)]
        super().__init__(in_channels, in_strides, [2 * others[0] + widths[0]])
        self.dates = nn.ModuleList(DateDecoder(widths, others) for _ in range(2))
        normal_init_(self)

    def forward(self, features1: list[Tensor], features2: list[Tensor]) -> list[Tensor]:
        """Fuse the pyramids of the two dates into one map of the size of their finest level."""
        decoded = [date(features) for date, features in zip(self.dates, (features1, features2), strict=True)]
        return [torch.cat([(y1 - y2).abs() for y1, y2 in zip(*decoded, strict=True)], dim=1)]

"""`upernet`: pyramid pooling and a feature pyramid, the decoder of UPerNet and BTC.

Source: T. Xiao, Y. Liu, B. Zhou, Y. Jiang, J. Sun, "Unified Perceptual Parsing for Scene Understanding", ECCV 2018, arXiv
1807.10221.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.layers.pooling import pool_to
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder


class PyramidPooling(nn.Module):
    """Concatenate a map with its means over grids of several sizes and project: (B, in_channels, h, w) -> (B, channels, h, w).

    Each mean is projected by Conv1x1-BN-ReLU and resized bilinearly to the map; the concatenation by Conv3x3-BN-ReLU.

    Source: H. Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, arXiv 1612.01105.

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels, also of each projected mean.
        bins: Side of each grid.
    """

    def __init__(self, in_channels: int, channels: int, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.projections = nn.ModuleList(ConvBNReLU(in_channels, channels, 1) for _ in bins)
        self.join = ConvBNReLU(in_channels + len(bins) * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the projected map."""
        means = [project(pool_to(x, (side, side))) for side, project in zip(self.bins, self.projections, strict=True)]
        return self.join(torch.cat([x, *(resize(mean, x.shape[-2:]) for mean in means)], dim=1))


@register_decoder("upernet")
class UPerNet(Decoder):
    """Pyramid pooling of the coarsest level, a top-down pathway, and Conv3x3-BN-ReLU of all levels at the size of the finest.

    The top-down pathway adds each level, resized bilinearly, to the projection of the next finer one; levels other than the
    coarsest are smoothed by Conv3x3-BN-ReLU. Returns the finest level. The output depends on the whole image.

    Args:
        in_channels: Number of input channels per level; any number of levels.
        in_strides: Stride per level.
        channels: Number of channels of all inner maps and of the output.
        bins: Side of each grid of the pyramid pooling.

    Raises:
        ConfigError: `channels` or a bin is below 1, or there are no bins.
    """

    is_local = False

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        channels: int = 512,
        bins: Sequence[int] = (1, 2, 3, 6),
    ) -> None:
        if min(channels, *bins, len(bins)) < 1:
            raise ConfigError(f"decoder upernet: channels and bins must be at least 1, got {channels} and {tuple(bins)}")
        super().__init__(in_channels, in_strides, [channels])
        *finer, coarsest = in_channels
        self.pool = PyramidPooling(coarsest, channels, bins)
        self.laterals = nn.ModuleList(ConvBNReLU(c, channels, 1) for c in finer)
        self.smooth = nn.ModuleList(ConvBNReLU(channels, channels) for _ in finer)
        self.fuse = ConvBNReLU(len(in_channels) * channels, channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, channels, h, w) of the size of its finest level."""
        levels = [lateral(f) for lateral, f in zip(self.laterals, features[:-1], strict=True)]
        levels.append(self.pool(features[-1]))
        for i in range(len(levels) - 2, -1, -1):
            levels[i] = levels[i] + resize(levels[i + 1], levels[i].shape[-2:])
        levels[:-1] = [smooth(level) for smooth, level in zip(self.smooth, levels[:-1], strict=True)]
        return [self.fuse(torch.cat([resize(level, levels[0].shape[-2:]) for level in levels], dim=1))]

"""`csam`: the cross-scale aggregation of GLMamba (Eq. 11-14)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, kaiming_init_
from cdzoo.registry import register_neck


class CrossScaleAggregation(nn.Module):
    """Brings the finer and the coarser neighbour of a level to its size and channels and merges the three.

    Args:
        fine: Channels of the level above, at twice the size.
        channels: Channels C of the level itself.
        coarse: Channels of the level below, at half the size.
    """

    def __init__(self, fine: int, channels: int, coarse: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.MaxPool2d(2), ConvBNReLU(fine, channels))
        self.same = ConvBNReLU(channels, channels)
        self.coarse = nn.Sequential(nn.Conv2d(coarse, channels, 1), ConvBNReLU(channels, channels))
        self.merge = ConvBNReLU(3 * channels, channels)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, fine: Tensor, same: Tensor, coarse: Tensor) -> Tensor:
        """Merge (B, C1, 2h, 2w), (B, C, h, w) and (B, C3, h/2, w/2) into (B, C, h, w)."""
        up = F.interpolate(self.coarse(coarse), size=same.shape[-2:], mode="bilinear", align_corners=False)
        merged = self.merge(torch.cat([self.fine(fine), self.same(same), up], dim=1))
        return F.relu(merged + self.shortcut(same))


@register_neck("csam")
class CSAM(Neck):
    """Cross-scale aggregation at every level that has two neighbours; the first and the last level pass through.

    Each level is computed from the backbone's own levels, not from levels already merged. In GLMamba that is levels 2 and 3,
    from (1, 2, 3) and (2, 3, 4).

    Args:
        in_channels: Channels of each level, at least three levels.
        in_strides: Stride of each level; each must be twice the one before.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int]) -> None:
        super().__init__(in_channels, in_strides, pad_multiple=max(in_strides))
        if len(in_channels) < 3:
            raise ConfigError(f"csam merges three neighbouring levels, but the backbone gives {len(in_channels)}; use neck=None")
        if any(b != 2 * a for a, b in pairwise(in_strides)):
            raise ConfigError(f"csam needs strides that double from level to level, got {tuple(in_strides)}; use neck=None")
        self.merges = nn.ModuleList(CrossScaleAggregation(*in_channels[i - 1 : i + 2]) for i in range(1, len(in_channels) - 1))
        kaiming_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the inner levels of the pyramid of one date; shapes stay."""
        inner = [merge(*features[i : i + 3]) for i, merge in enumerate(self.merges)]
        return [features[0], *inner, features[-1]]

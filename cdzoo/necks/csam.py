"""`csam`: cross-scale aggregation module of GLMamba (Eq. 11-14).

Source: S. Liu et al., IEEE JSTARS 19 (2026), doi 10.1109/JSTARS.2026.3675679.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.compatibility import check_doubling
from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, kaiming_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_neck


class CrossScaleAggregation(nn.Module):
    """Resize the two neighbors of a level to its size, project them to its channels and merge all three with a shortcut.

    Args:
        fine: Number of channels of the finer level, which has twice the size.
        channels: Number of channels C of the level.
        coarse: Number of channels of the coarser level, which has half the size.
    """

    def __init__(self, fine: int, channels: int, coarse: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.MaxPool2d(2), ConvBNReLU(fine, channels))
        self.same = ConvBNReLU(channels, channels)
        self.coarse = nn.Sequential(nn.Conv2d(coarse, channels, 1), ConvBNReLU(channels, channels))
        self.merge = ConvBNReLU(3 * channels, channels)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, fine: Tensor, same: Tensor, coarse: Tensor) -> Tensor:
        """Merge (B, fine, 2h, 2w), (B, C, h, w) and (B, coarse, h/2, w/2) into (B, C, h, w)."""
        upsampled = resize(self.coarse(coarse), same.shape[-2:])
        merged = self.merge(torch.cat([self.fine(fine), self.same(same), upsampled], dim=1))
        return F.relu(merged + self.shortcut(same))


@register_neck("csam")
class CSAM(Neck):
    """Cross-scale aggregation at every inner level; the first and the last level are returned unchanged.

    Each output level is computed from levels of the backbone, not from other output levels. In GLMamba these are level 2 from
    (1, 2, 3) and level 3 from (2, 3, 4).

    Args:
        in_channels: Number of channels per level, at least three levels.
        in_strides: Stride per level; each twice the previous one.

    Raises:
        ConfigError: There are fewer than three levels, or the strides do not double.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int]) -> None:
        super().__init__(in_channels, in_strides, pad_multiple=max(in_strides))
        if len(in_channels) < 3:
            raise ConfigError(f"neck csam: at least three levels are required, got {len(in_channels)}; use neck=None")
        check_doubling("neck csam", in_strides)
        self.merges = nn.ModuleList(CrossScaleAggregation(*in_channels[i - 1 : i + 2]) for i in range(1, len(in_channels) - 1))
        kaiming_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Refine the inner levels of the pyramid of one date; the output has the same shapes."""
        inner = [merge(*features[i : i + 3]) for i, merge in enumerate(self.merges)]
        return [features[0], *inner, features[-1]]

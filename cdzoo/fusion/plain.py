"""`diff`, `abs_diff`, `concat` and `sum`: fusions without parameters, the baselines of every ablation."""

from __future__ import annotations

import torch
from torch import Tensor

from cdzoo.components import LevelFusion
from cdzoo.registry import register_fusion


@register_fusion("diff")
class Diff(LevelFusion):
    """x2 - x1; the sign tells what came from what went."""

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Subtract the first date (B, C, h, w) from the second."""
        return x2 - x1


@register_fusion("abs_diff")
class AbsDiff(LevelFusion):
    """|x2 - x1|; the order of the dates does not matter."""

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the distance of the dates (B, C, h, w), channel by channel."""
        return (x2 - x1).abs()


@register_fusion("sum")
class Sum(LevelFusion):
    """x1 + x2; the order of the dates does not matter."""

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Add the dates (B, C, h, w)."""
        return x1 + x2


@register_fusion("concat")
class Concat(LevelFusion):
    """Both dates side by side: 2 C channels out.

    Args:
        channels: Channels C of each date.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, out_channels=2 * channels)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Join the dates (B, C, h, w) into (B, 2 C, h, w), the first date first."""
        return torch.cat([x1, x2], dim=1)

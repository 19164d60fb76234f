"""`diff`, `abs_diff`, `sum` and `concat`: fusions without parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from cdzoo.components import LevelFusion
from cdzoo.registry import register_fusion


@register_fusion("diff")
class Diff(LevelFusion):
    """Signed difference of the dates, x2 - x1.

    Args:
        channels: Number of channels C of each date.
        reverse: Subtract the second date from the first instead, as in BTC.
    """

    def __init__(self, channels: int, reverse: bool = False) -> None:
        super().__init__(channels)
        self.reverse = reverse

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the difference of two maps (B, C, h, w)."""
        return x1 - x2 if self.reverse else x2 - x1


@register_fusion("abs_diff")
class AbsDiff(LevelFusion):
    """Absolute difference of the dates, |x2 - x1|; independent of their order."""

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the absolute difference of two maps (B, C, h, w)."""
        return (x2 - x1).abs()


@register_fusion("sum")
class Sum(LevelFusion):
    """Sum of the dates, x1 + x2; independent of their order."""

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the sum of two maps (B, C, h, w)."""
        return x1 + x2


@register_fusion("concat")
class Concat(LevelFusion):
    """Concatenation of the dates, [x1; x2], with 2 C output channels.

    Args:
        channels: Number of channels C of each date.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, out_channels=2 * channels)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Concatenate two maps (B, C, h, w) to (B, 2 C, h, w)."""
        return torch.cat([x1, x2], dim=1)

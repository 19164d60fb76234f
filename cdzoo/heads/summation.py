"""`summation`: the prediction head of GLMamba."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.layers import ConvBNReLU, kaiming_init_
from cdzoo.registry import register_head


@register_head("summation")
class Summation(Head):
    """Conv1x1 per level to C channels, summed from coarse to fine, then Conv3x3-BN-ReLU-Conv1x1 at input size.

    Args:
        in_channels: Channels of each level, finest first.
        in_strides: Stride of each level.
        num_classes: Channels of the logits.
        channels: C; the channels of the finest level by default.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 1,
        channels: int | None = None,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = channels or in_channels[0]
        hidden = max(1, channels // 2)
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.smooth = ConvBNReLU(channels, hidden)
        self.classify = nn.Conv2d(hidden, num_classes, 1)
        kaiming_init_(self)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for `size` = (H, W)."""
        *finer, coarsest = [lateral(f) for lateral, f in zip(self.laterals, features, strict=True)]
        total = coarsest
        for level in reversed(finer):
            total = level + _resize(total, level.shape[-2:])
        return self.classify(self.smooth(_resize(total, size)))


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)

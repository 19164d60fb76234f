"""`stepwise`: doubled twice with fewer and fewer channels, as RS-Mamba ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Head, check_one_level
from cdzoo.registry import register_head

_LAST = 8


class Double(nn.Sequential):
    """Conv3x3 (with bias), BN, ReLU, then twice the size, bilinearly with corners aligned."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        )


@register_head("stepwise")
class Stepwise(Head):
    """One level C: Conv3x3 to C / 2, doubled; Conv3x3 to 8, doubled; Conv7x7 to logits.

    Source: S. Zhao et al., "RS-Mamba for Large Remote Sensing Image Dense Prediction", IEEE TGRS 62 (2024), arXiv 2404.02668.
    Where doubling twice does not reach the image, the logits are resized bilinearly.

    Args:
        in_channels: Channels C of the one level taken.
        in_strides: Its stride; 4 in RS-Mamba.
        num_classes: Channels of the logits.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 1) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = check_one_level("the head stepwise", in_channels)
        hidden = max(1, channels // 2)
        self.enlarge = nn.Sequential(Double(channels, hidden), Double(hidden, _LAST))
        self.classify = nn.Conv2d(_LAST, num_classes, 7, padding=3)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for `size` = (H, W)."""
        logits = self.classify(self.enlarge(features[0]))
        if tuple(logits.shape[-2:]) == tuple(size):
            return logits
        return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)

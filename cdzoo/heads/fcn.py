"""`fcn`: two convolutions at the size of the image, as BIT ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Head, check_one_level
from cdzoo.layers import ConvBNReLU, normal_init_
from cdzoo.registry import register_head


@register_head("fcn")
class FCN(Head):
    """One level enlarged bilinearly to the image, then Conv3x3-BN-ReLU-Conv3x3.

    Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), arXiv
    2103.00208.

    Args:
        in_channels: Channels of the one level taken.
        in_strides: Its stride.
        num_classes: Channels of the logits.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 2) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = check_one_level("the head fcn", in_channels)
        self.smooth = ConvBNReLU(channels, channels)
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1)
        normal_init_(self)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for `size` = (H, W)."""
        return self.classify(self.smooth(F.interpolate(features[0], size=tuple(size), mode="bilinear", align_corners=False)))

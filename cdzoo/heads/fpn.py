"""`fpn`: feature pyramid network and sum of its levels, the head of LightCDNet.

Sources: T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, arXiv 1612.03144; Y. Xing et al.,
"LightCDNet: Lightweight Change Detection Network Based on VHR Images", IEEE GRSL 20 (2023), doi 10.1109/LGRS.2023.3304309.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head

SIDE_WEIGHT = 0.4


class FPN(nn.Module):
    """Conv1x1 of each level, addition from coarse to fine with nearest upsampling, Conv3x3: list of maps -> list of maps.

    Args:
        in_channels: Number of input channels per level, finest first.
        channels: Number of output channels of every level.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return one map (B, channels, h_i, w_i) per level."""
        levels = [lateral(level) for lateral, level in zip(self.laterals, features, strict=True)]
        for i in range(len(levels) - 2, -1, -1):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], size=levels[i].shape[-2:])
        return [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]


@register_head("fpn")
class FPNHead(Head):
    """Feature pyramid network, sum of ReLU(BN(Conv1x1)) of its levels at the size of the finest, and a pointwise classifier.

    Levels and logits are resized bilinearly. A side classifier on the finest input level, Conv3x3-BN-ReLU-Conv1x1, is used in
    training only, with loss weight 0.4.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level.
        num_classes: Number of output channels.
        channels: Number of channels of the pyramid network.

    Raises:
        ConfigError: `channels` is below 1.
    """

    def __init__(
        self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 2, channels: int = 48
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        if channels < 1:
            raise ConfigError(f"head fpn: channels must be at least 1, got {channels}")
        self.fpn = FPN(in_channels, channels)
        self.scales = nn.ModuleList(ConvBNReLU(channels, channels, 1) for _ in in_channels)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.side = ConvBNReLU(in_channels[0], in_channels[0])
        self.classify_side = nn.Conv2d(in_channels[0], num_classes, 1)
        self.auxiliary_weights = (SIDE_WEIGHT,)
        prior_init_(self.classify)
        prior_init_(self.classify_side)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        finest, *others = [scale(level) for scale, level in zip(self.scales, self.fpn(features), strict=True)]
        for level in others:
            finest = finest + resize(level, finest.shape[-2:])
        return resize(self.classify(finest), size)

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return the logits of the side classifier at the size of the finest level."""
        return [self.classify_side(self.side(features[0]))]

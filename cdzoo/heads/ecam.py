"""`ecam`: ensemble channel attention module, the head of SNUNet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.layers import ChannelAttention, kaiming_init_, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("ecam")
class ECAM(Head):
    """Channel attention on all levels together and on their sum: Conv1x1(a(x) * (x + [a'(s); ...; a'(s)])).

    x is the concatenation of all levels, s is their sum, and a, a' are the weights of the channels. Levels of other sizes are
    resized bilinearly to the finest, and those of other channels projected to its channels by Conv1x1.

    Source: S. Fang, K. Li, J. Shao, Z. Li, "SNUNet-CD: A Densely Connected Siamese Network for Change Detection of VHR Images",
    IEEE GRSL 19 (2022), doi 10.1109/LGRS.2021.3056416. As in the official code, a'(s) is added to x, not multiplied.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level.
        num_classes: Number of output channels.
        reduction: Reduction ratio of the hidden channels of a.
        level_reduction: Reduction ratio of the hidden channels of a'.

    Raises:
        ConfigError: A reduction ratio is below 1.
    """

    is_local = False

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 2,
        reduction: int = 16,
        level_reduction: int = 4,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = in_channels[0]
        self.laterals = nn.ModuleList(nn.Identity() if c == channels else nn.Conv2d(c, channels, 1) for c in in_channels)
        self.together = ChannelAttention(len(in_channels) * channels, reduction, bias=False)
        self.summed = ChannelAttention(channels, level_reduction, bias=False)
        self.classify = nn.Conv2d(len(in_channels) * channels, num_classes, 1)
        kaiming_init_(self)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        sizes = features[0].shape[-2:]
        levels = [resize(lateral(level), sizes) for lateral, level in zip(self.laterals, features, strict=True)]
        x = torch.cat(levels, dim=1)
        summed = self.summed.weight(torch.stack(levels).sum(0)).repeat(1, len(levels), 1, 1)
        return resize(self.classify(self.together.weight(x) * (x + summed)), size)

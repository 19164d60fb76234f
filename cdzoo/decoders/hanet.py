"""`hanet`: decoder of HANet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import kaiming_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder


@register_decoder("hanet")
class HANetDecoder(Decoder):
    """Upsample level by level, concatenating each finer level in front, and project the result by Conv1x1.

    There are no convolutions between the levels. Upsampling is bilinear.

    Source: C. Han et al., "HANet: A Hierarchical Attention Network for Change Detection With Bitemporal Very-High-Resolution
    Remote Sensing Images", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3264802.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level.
        channels: Number of output channels.

    Raises:
        ConfigError: `channels` is below 1.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, channels: int = 80) -> None:
        if channels < 1:
            raise ConfigError(f"decoder hanet: channels must be at least 1, got {channels}")
        super().__init__(in_channels, in_strides, [channels])
        self.project = nn.Conv2d(sum(in_channels), channels, 1)
        kaiming_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, channels, h, w) of the size of its finest level."""
        *finer, x = features
        for level in reversed(finer):
            x = torch.cat([level, resize(x, level.shape[-2:])], dim=1)
        return [self.project(x)]

"""`stanet`: neck of STANet, which merges the levels of each date."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, kaiming_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_neck

_LEVEL_CHANNELS, _HIDDEN = 96, 256


@register_neck("stanet")
class STANetNeck(Neck):
    """Project all levels to 96 channels, resize them to the finest, concatenate them, and convolve to one level.

    Projections are Conv1x1-BN-ReLU; the concatenation passes Conv3x3-BN-ReLU to 256 channels, dropout and Conv1x1-BN-ReLU.
    Resizing is bilinear with aligned corners.

    Source: H. Chen, Z. Shi, "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change
    Detection", Remote Sensing 12 (2020), doi 10.3390/rs12101662.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level.
        channels: Number of output channels.
        dropout: Dropout rate between the last two convolutions.

    Raises:
        ConfigError: `channels` is below 1, or `dropout` is not in [0, 1).
    """

    is_local = False  # aligned corners: the grid depends on the size of the image

    def __init__(
        self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, channels: int = 64, dropout: float = 0.5
    ) -> None:
        if channels < 1 or not 0 <= dropout < 1:
            raise ConfigError(f"neck stanet: channels must be at least 1 and dropout in [0, 1), got {channels} and {dropout}")
        super().__init__(in_channels, in_strides, [channels])
        self.levels = nn.ModuleList(ConvBNReLU(c, _LEVEL_CHANNELS, 1) for c in in_channels)
        self.merge = nn.Sequential(
            ConvBNReLU(_LEVEL_CHANNELS * len(in_channels), _HIDDEN), nn.Dropout(dropout), ConvBNReLU(_HIDDEN, channels, 1)
        )
        kaiming_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid of one date into one level (B, channels, h, w) of the size of its finest level."""
        size = features[0].shape[-2:]
        *finer, coarsest = [resize(level(x), size, align_corners=True) for level, x in zip(self.levels, features, strict=True)]
        return [self.merge(torch.cat([coarsest, *finer], dim=1))]

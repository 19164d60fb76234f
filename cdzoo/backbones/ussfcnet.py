"""`ussfcnet`: encoder of USSFC-Net."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.layers.msd_conv import msd_block
from cdzoo.registry import register_backbone

_MAX_STAGES = 6  # stride 32, the minimum size of an image


@register_backbone("ussfcnet")
class USSFCNetEncoder(Backbone):
    """Two Conv3x3-BN-ReLU at stride 1, then pairs of multiscale decoupled convolutions after 2x2 max pooling.

    USSFC-Net has one encoder per date, with weights of its own (`siamese=False`).

    Source: T. Lei et al., "Ultralightweight Spatial-Spectral Feature Cooperation Network for Change Detection in Remote Sensing
    Images", IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3261273.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels per stage; multiples of 8, except the first.

    Raises:
        ConfigError: There are no stages or more than six, or a number of channels is out of range.
    """

    def __init__(self, in_chans: int = 3, channels: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        if not 1 <= len(channels) <= _MAX_STAGES or min(channels) < 1:
            raise ConfigError(
                f"backbone ussfcnet: channels needs one number of at least 1 per stage, for 1 to {_MAX_STAGES} stages, got "
                f"{tuple(channels)}"
            )
        names = [f"stages.{i}" for i in range(len(channels))]
        super().__init__(in_chans, channels, [2**i for i in range(len(channels))], stages=names)
        first = nn.Sequential(*ConvBNReLU(in_chans, channels[0], bias=True), *ConvBNReLU(channels[0], channels[0], bias=True))
        self.stages = nn.ModuleList([first, *(msd_block(a, b) for a, b in pairwise(channels))])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, H / s_i, W / s_i) per stage."""
        levels = [self.run_stage(self.stages[0], x)]
        for stage in self.stages[1:]:
            levels.append(self.run_stage(stage, F.max_pool2d(levels[-1], 2)))
        return levels

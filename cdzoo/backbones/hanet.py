"""`hanet`: backbone of HANet.

Source: C. Han, C. Wu, H. Guo, M. Hu, H. Chen, "HANet: A Hierarchical Attention Network for Change Detection With Bitemporal
Very-High-Resolution Remote Sensing Images", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3264802.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import kaiming_init_
from cdzoo.layers.residual_conv import ResidualConv
from cdzoo.registry import register_backbone

_MAX_STAGES = 6


@register_backbone("hanet")
class HANetBackbone(Backbone):
    """Conv5x5, then one residual block per stage with 2x2 average pooling in between.

    The defaults return 40, 80, 160 and 320 channels at strides 1, 2, 4 and 8.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels per stage, at most 6 stages.
        img_size: Height and width of the images. The official code takes 256x256 pixels only, since its pooling has outputs of
            fixed size; it is 2x2 pooling there. None accepts any size, padded to a multiple of the coarsest stride.

    Raises:
        ConfigError: `channels` is empty, too long or has values below 1, or `img_size` is not a positive multiple of the
            coarsest stride.
    """

    is_local = True

    def __init__(self, in_chans: int = 3, channels: Sequence[int] = (40, 80, 160, 320), img_size: int | None = 256) -> None:
        if not 1 <= len(channels) <= _MAX_STAGES or min(channels) < 1:
            raise ConfigError(f"backbone hanet: 1 to {_MAX_STAGES} channels of at least 1 are required, got {tuple(channels)}")
        strides = [2**i for i in range(len(channels))]
        super().__init__(in_chans, channels, strides, stages=[f"stages.{i}" for i in range(len(channels))])
        if img_size is not None and (img_size < 1 or img_size % strides[-1]):
            raise ConfigError(f"backbone hanet: img_size must be a positive multiple of {strides[-1]}, got {img_size}")
        self.fixed_input_size = img_size
        self.stem = nn.Conv2d(in_chans, channels[0], 5, padding=2)
        self.stages = nn.ModuleList(ResidualConv(channels[max(0, i - 1)], c, pointwise=True) for i, c in enumerate(channels))
        kaiming_init_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one level (B, C_i, H / s_i, W / s_i) per stage."""
        x = self.stem(x)
        features: list[Tensor] = []
        for stage in self.stages:
            features.append(self.run_stage(stage, F.avg_pool2d(x, 2) if features else x))
            x = features[-1]
        return features

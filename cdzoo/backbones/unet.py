"""`unet`: backbone of FC-EF, FC-Siam-Conc and FC-Siam-Diff."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import UNetConv
from cdzoo.registry import register_backbone


@register_backbone("unet")
class UNetEncoder(Backbone):
    """Stages of 3x3 convolutions, each followed by 2x2 max pooling; the last level is the pooled output of the last stage.

    The defaults return 16, 32, 64, 128 and 128 channels at strides 1, 2, 4, 8 and 16. Pooling drops the last row or column of
    odd sizes, as in the official code. A Siamese detector concatenates both dates on the batch axis, so batch normalization
    uses the statistics of both dates during training; the official code normalizes each date separately.

    Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv
    1810.08462.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels per stage, at most 5 stages.
        depths: Number of convolutions per stage.
        dropout: Dropout rate of whole channels after every convolution.

    Raises:
        ConfigError: The lists differ in length, are empty, have values below 1, or have more than 5 values.
    """

    is_local = True

    def __init__(
        self,
        in_chans: int = 3,
        channels: Sequence[int] = (16, 32, 64, 128),
        depths: Sequence[int] = (2, 2, 3, 3),
        dropout: float = 0.2,
    ) -> None:
        if not channels or len(channels) != len(depths) or min(*channels, *depths) < 1:
            raise ConfigError(f"backbone unet: channels {channels} and depths {depths} need one value of at least 1 per stage")
        if len(channels) > 5:  # 2^5 = 32 pixels, the minimum size of an image
            raise ConfigError(f"backbone unet: at most 5 stages are supported, got {len(channels)}")
        super().__init__(in_chans, [*channels, channels[-1]], [2**i for i in range(len(channels) + 1)], pad_multiple=1)
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            widths = [channels[i - 1] if i else in_chans, *[width] * depth]
            self.stages.append(nn.Sequential(*(UNetConv(a, b, dropout) for a, b in pairwise(widths))))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, floor(H / s_i), floor(W / s_i)) per level."""
        features = []
        for stage in self.stages:
            features.append(self.run_stage(stage, x))
            x = F.max_pool2d(features[-1], 2)
        return [*features, x]

"""`unet`: the encoder of FC-EF, FC-Siam-Conc and FC-Siam-Diff."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import UNetConv
from cdzoo.registry import register_backbone


@register_backbone("unet")
class UNetEncoder(Backbone):
    """Stages of 3x3 convolutions with 2x2 max pooling after each; the last level is the last stage's map, pooled.

    With the defaults: channels 16, 32, 64, 128, 128 at strides 1, 2, 4, 8, 16. Odd sizes lose their last row or column when
    they are pooled, as in the authors' code. A Siamese detector passes both dates as one batch, so in training batch norm
    sees them together; there each date is a batch of its own.

    Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv
    1810.08462.

    Args:
        in_chans: Bands of the image.
        channels: Channels of each stage.
        depths: Convolutions of each stage.
        dropout: Share of whole channels that training drops after every convolution.
    """

    def __init__(
        self,
        in_chans: int = 3,
        channels: Sequence[int] = (16, 32, 64, 128),
        depths: Sequence[int] = (2, 2, 3, 3),
        dropout: float = 0.2,
    ) -> None:
        if not channels or len(channels) != len(depths) or min(*channels, *depths) < 1:
            raise ConfigError(f"unet: give channels and depths of at least 1 per stage, got {tuple(channels)}, {tuple(depths)}")
        if len(channels) > 5:
            raise ConfigError(f"unet: {len(channels)} stages would pool the smallest image, 32 pixels, away; take 5 at most")
        super().__init__(in_chans, [*channels, channels[-1]], [2**i for i in range(len(channels) + 1)], pad_multiple=1)
        self.stages = nn.ModuleList()
        taken = in_chans
        for given, depth in zip(channels, depths, strict=True):
            convs = [UNetConv(taken if j == 0 else given, given, dropout) for j in range(depth)]
            self.stages.append(nn.Sequential(*convs))
            taken = given

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one (B, C_i, H / s_i, W / s_i) map per level, sizes rounded down."""
        features = []
        for stage in self.stages:
            features.append(stage(x))
            x = F.max_pool2d(features[-1], 2)
        return [*features, x]

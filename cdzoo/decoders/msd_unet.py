"""`msd_unet`: U-Net decoder of multiscale decoupled convolutions, as in USSFC-Net."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cdzoo.compatibility import check_doubling, level_widths
from cdzoo.components import Decoder
from cdzoo.layers.msd_conv import msd_block
from cdzoo.registry import register_decoder


@register_decoder("msd_unet")
class MSDUNet(Decoder):
    """From coarse to fine: transposed Conv2x2 of stride 2, concatenation behind the next finer level, two MSD convolutions.

    Returns the finest level.

    Source: T. Lei et al., "Ultralightweight Spatial-Spectral Feature Cooperation Network for Change Detection in Remote Sensing
    Images", IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3261273.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level; each twice the previous one.
        widths: Number of channels per level except the coarsest; multiples of 8. Default: the input channels.

    Raises:
        ConfigError: There is only one level, the strides do not double, or `widths` does not match the levels.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int], widths: Sequence[int] | None = None) -> None:
        *skips, coarsest = in_channels
        widths = level_widths("decoder msd_unet", in_channels, widths, 8)
        check_doubling("decoder msd_unet", in_strides)
        super().__init__(in_channels, in_strides, widths[:1], pad_multiple=max(in_strides))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise([*widths, coarsest]))
        self.stages = nn.ModuleList(msd_block(skip + width, width) for skip, width in zip(skips, widths, strict=True))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, widths[0], h, w) of the size of its finest level."""
        *skips, x = features
        for skip, up, stage in reversed(list(zip(skips, self.ups, self.stages, strict=True))):
            x = stage(torch.cat([skip, up(x)], dim=1))
        return [x]

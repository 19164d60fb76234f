"""`mask_up`: top-down decoder that weights pixels by masks of the finer levels, as in TinyCD.

Source: A. Codegoni, G. Lombardi, A. Ferrari, "TINYCD: A (Not So) Deep Learning Model For Change Detection", Neural Computing and
Applications 35 (2023), doi 10.1007/s00521-022-08122-3, arXiv 2207.13159.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from cdzoo.compatibility import check_doubling, level_widths
from cdzoo.components import Decoder
from cdzoo.layers.instance_norm import InstanceNorm
from cdzoo.layers.pixel_mlp import PixelMLP
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder

MIN_HIDDEN = (10, 5)


class SeparableBlock(nn.Sequential):
    """Depthwise Conv3x3 and Conv1x1, each followed by PReLU and instance normalization.

    (B, in_channels, h, w) -> (B, out_channels, h, w).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels),
            nn.PReLU(),
            InstanceNorm(in_channels),
            nn.Conv2d(in_channels, out_channels, 1),
            nn.PReLU(),
            InstanceNorm(out_channels),
        )


@register_decoder("mask_up")
class MaskUp(Decoder):
    """From coarse to fine: 2x bilinear upsampling, multiplication by a mask of the next finer level, separable convolution.

    The mask of a level has one channel and is computed from its C channels by a pixelwise MLP with max(C / 2, 10) and
    max(C / 4, 5) hidden channels; its values are not restricted to [0, 1]. Upsampling aligns the corners. Returns the finest
    level.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level; each twice the previous one.
        widths: Number of channels per level except the coarsest. Default: the input channels.

    Raises:
        ConfigError: There is only one level, the strides do not double, or `widths` does not match the levels.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int], widths: Sequence[int] | None = None) -> None:
        *skips, coarsest = in_channels
        widths = level_widths("decoder mask_up", in_channels, widths)
        check_doubling("decoder mask_up", in_strides)
        super().__init__(in_channels, in_strides, widths[:1], pad_multiple=max(in_strides))
        hidden = ([max(c // 2, MIN_HIDDEN[0]), max(c // 4, MIN_HIDDEN[1])] for c in skips)
        self.masks = nn.ModuleList(PixelMLP([c, *h, 1], last_activation=True) for c, h in zip(skips, hidden, strict=True))
        self.ups = nn.ModuleList(SeparableBlock(b, a) for a, b in pairwise([*widths, coarsest]))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, widths[0], h, w) of the size of its finest level."""
        *skips, x = features
        for skip, mask, up in reversed(list(zip(skips, self.masks, self.ups, strict=True))):
            x = up(resize(x, skip.shape[-2:], align_corners=True) * mask(skip))
        return [x]

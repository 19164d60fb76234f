"""`unet`: decoder of FC-EF, FC-Siam-Conc and FC-Siam-Diff."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.compatibility import check_doubling, level_widths
from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import UNetConv
from cdzoo.registry import register_decoder


@register_decoder("unet")
class UNetDecoder(Decoder):
    """From coarse to fine: 2x upsampling, concatenation with the next finer level, convolutions. Returns the finest level.

    The convolutions of level i have w_i output channels, except the last, which has w_(i-1), those of the next finer level. The
    last convolution of the finest level in the official code is the classifier, which belongs to the head.

    Upsampled maps that are smaller than the next finer level are padded by replicating the last row or column, as in the
    official code; larger ones, which occur for odd sizes with other backbones, are cropped.

    Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv
    1810.08462.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level; each twice the previous one.
        widths: Number of channels w_i per level except the coarsest. Default: the input channels.
        depths: Number of convolutions per level except the coarsest. Default: 1 at the finest level, 2 at the others.
        dropout: Dropout rate of whole channels after every convolution.

    Raises:
        ConfigError: There is only one level, the strides do not double, or `widths` or `depths` do not match the levels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        dropout: float = 0.2,
    ) -> None:
        *skips, coarsest = in_channels
        widths = level_widths("decoder unet", in_channels, widths)
        depths = [1] + [2] * (len(skips) - 1) if depths is None else list(depths)
        if len(depths) != len(skips) or min(depths) < 1:
            raise ConfigError(
                f"decoder unet: {len(skips)} depths of at least 1 are required, one per level except the coarsest, got "
                f'{tuple(depths)}; decoder=("unet", {{}}) uses the defaults'
            )
        check_doubling("decoder unet", in_strides)
        super().__init__(in_channels, in_strides, widths[:1])
        upsampled = [*widths[:-1], coarsest]  # channels of the upsampled map per level
        self.ups = nn.ModuleList(nn.ConvTranspose2d(c, c, 3, stride=2, padding=1, output_padding=1) for c in upsampled)
        self.stages = nn.ModuleList()
        for i, (skip, width, depth) in enumerate(zip(skips, widths, depths, strict=True)):
            sizes = [upsampled[i] + skip, *[width] * (depth - 1), widths[max(0, i - 1)]]
            self.stages.append(nn.Sequential(*(UNetConv(a, b, dropout, transposed=True) for a, b in pairwise(sizes))))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, w_1, h, w) of the size of its finest level."""
        *skips, x = features
        for skip, up, stage in reversed(list(zip(skips, self.ups, self.stages, strict=True))):
            x = stage(torch.cat([_pad_or_crop(up(x), skip.shape[-2:]), skip], dim=1))
        return [x]


def _pad_or_crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """Pad a map (B, C, h, w) by replication, or crop it, at the bottom and right to `size` (H, W)."""
    bottom, right = (max(0, target - current) for target, current in zip(size, x.shape[-2:], strict=True))
    if bottom or right:
        x = F.pad(x, (0, right, 0, bottom), mode="replicate")
    return x[..., : size[0], : size[1]]

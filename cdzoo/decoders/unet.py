"""`unet`: the decoder of FC-EF, FC-Siam-Conc and FC-Siam-Diff, for any pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Decoder, check_doubling
from cdzoo.errors import ConfigError
from cdzoo.layers import UNetConv
from cdzoo.registry import register_decoder


@register_decoder("unet")
class UNetDecoder(Decoder):
    """From the coarsest level up: double the size, join the next finer level, convolve; gives one level, the finest.

    Level i has width w_i. Its convolutions keep w_i, but for the last, which gives w_(i-1), the width of the next; at the
    finest level the last one is the classifier, which is the head's.

    Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv
    1810.08462. Enlarged maps that are smaller than the level they meet are extended by their last row or column, as in the
    authors' code; larger ones, which other backbones make of odd sizes, are cut.

    Args:
        in_channels: Channels of each level, at least two levels.
        in_strides: Stride of each level; each must be twice the one before.
        widths: w_i of each level but the coarsest; the channels taken by default.
        depths: Convolutions of each such level; 2 by default, and 1 at the finest.
        dropout: Share of whole channels that training drops after every convolution.
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
        widths = list(widths or skips)
        depths = list(depths or [1] + [2] * (len(skips) - 1))
        if not skips:
            raise ConfigError("unet joins at least two levels, but the part before it gives one; use decoder=None")
        if len(widths) != len(skips) or len(depths) != len(skips) or min(*widths, *depths) < 1:
            raise ConfigError(
                f"unet: give {len(skips)} widths and depths of at least 1, one per level but the coarsest, got {tuple(widths)}, "
                f'{tuple(depths)}; decoder=("unet", {{}}) takes the defaults'
            )
        check_doubling("the decoder unet", in_strides)
        super().__init__(in_channels, in_strides, widths[:1], in_strides[:1])
        # What comes up to each level: the width that the level below gives.
        rising = [*widths[:-1], coarsest]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(c, c, 3, stride=2, padding=1, output_padding=1) for c in rising)
        self.stages = nn.ModuleList()
        for i, (skip, width, depth) in enumerate(zip(skips, widths, depths, strict=True)):
            sizes = [rising[i] + skip, *[width] * (depth - 1), widths[max(0, i - 1)]]
            self.stages.append(nn.Sequential(*(UNetConv(sizes[j], sizes[j + 1], dropout, transposed=True) for j in range(depth))))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, w_1, h, w) at the size of its finest level."""
        *skips, x = features
        for skip, up, stage in reversed(list(zip(skips, self.ups, self.stages, strict=True))):
            x = stage(torch.cat([_fit(up(x), skip.shape[-2:]), skip], dim=1))
        return [x]


def _fit(x: Tensor, size: Sequence[int]) -> Tensor:
    down, right = (max(0, wanted - have) for wanted, have in zip(size, x.shape[-2:], strict=True))
    if down or right:
        x = F.pad(x, (0, right, 0, down), mode="replicate")
    return x[..., : size[0], : size[1]]

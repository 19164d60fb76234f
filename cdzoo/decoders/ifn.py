"""`ifn`: difference discrimination network of IFN (DSIFN).

Source: C. Zhang et al., "A deeply supervised image fusion network for change detection in high resolution bi-temporal remote
sensing images", ISPRS J. Photogramm. Remote Sens. 166 (2020), doi 10.1016/j.isprsjprs.2020.06.003.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cdzoo.compatibility import check_doubling
from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import ChannelAttention, SpatialAttention
from cdzoo.registry import register_decoder

_REDUCTION = 8


class Stage(nn.Module):
    """Convolutions of one level between channel and spatial attention: (B, widths[0], h, w) -> (B, widths[-1], h, w).

    A convolution is Conv3x3 (with bias), PReLU, BN and dropout; the activation precedes the norm. The spatial attention is
    followed by BN.

    Args:
        widths: Number of input channels, then of output channels of each convolution.
        dropout: Dropout rate after every convolution.
        coarser: Number of channels of the next coarser level, upsampled by a transposed Conv2x2 and concatenated in front
            of the level; None for the coarsest level, which has no channel attention.
    """

    def __init__(self, widths: Sequence[int], dropout: float, coarser: int | None = None) -> None:
        super().__init__()
        self.up = None if coarser is None else nn.ConvTranspose2d(coarser, coarser, 2, stride=2)
        self.channel = None if coarser is None else ChannelAttention(widths[0], _REDUCTION, bias=False)
        self.convs = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.PReLU(), nn.BatchNorm2d(b), nn.Dropout(dropout))
                for a, b in pairwise(widths)
            )
        )
        self.spatial = SpatialAttention(norm=False)
        self.norm = nn.BatchNorm2d(widths[-1])

    def forward(self, x: Tensor, coarser: Tensor | None = None) -> Tensor:
        """Refine a level, given the output of the next coarser one."""
        if self.up is not None and self.channel is not None:
            x = self.channel(torch.cat([self.up(coarser), x], dim=1))
        return self.norm(self.spatial(self.convs(x)))


@register_decoder("ifn")
class IFNDecoder(Decoder):
    """From coarse to fine: 2x upsampling, concatenation, channel attention, convolutions and spatial attention.

    With D_i channels of the fused level i, counted from the finest as 1, its stage has D_i / 2, D_(i-1) / 2 and D_(i-1) / 2
    channels; that of the finest level D_1 / 2, D_1 / 4 and D_1 / 8, and that of the coarsest D_n / 2 twice. In IFN the input is
    the concatenation of the dates, so that D_i / 2 are the channels of a date.

    Args:
        in_channels: Number of input channels D_i per level.
        in_strides: Stride per level; each twice the previous one.
        all_levels: Return the output of every level, for a head with deep supervision; only the finest by default.
        dropout: Dropout rate after every convolution.

    Raises:
        ConfigError: The strides do not double, or `dropout` is not in [0, 1).
    """

    is_local = False

    def __init__(
        self, in_channels: Sequence[int], in_strides: Sequence[int], all_levels: bool = False, dropout: float = 0.6
    ) -> None:
        if not 0 <= dropout < 1:
            raise ConfigError(f"decoder ifn: dropout must be in [0, 1), got {dropout}")
        check_doubling("decoder ifn", in_strides)
        halves = [max(1, c // 2) for c in in_channels]
        outputs = [max(1, halves[0] // 4), *halves[:-1]]
        hidden = [max(1, halves[0] // 2), *outputs[1:]]
        plans = [list(plan) for plan in zip(in_channels, halves, hidden, outputs, strict=True)]
        plans[-1] = [in_channels[-1], halves[-1], halves[-1]]
        outputs[-1] = halves[-1]
        levels = len(in_channels) if all_levels else 1
        super().__init__(in_channels, in_strides, outputs[:levels], pad_multiple=max(in_strides))
        self.stages = nn.ModuleList(
            Stage([coarser + plan[0], *plan[1:]], dropout, coarser) for plan, coarser in zip(plans[:-1], outputs[1:], strict=True)
        )
        self.stages.append(Stage(plans[-1], dropout))
        self.all_levels = all_levels

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Refine the pyramid; returns its finest level, or all of them."""
        *finer, coarsest = zip(features, self.stages, strict=True)
        outputs = [coarsest[1](coarsest[0])]
        for level, stage in reversed(finer):
            outputs.insert(0, stage(level, outputs[0]))
        return outputs if self.all_levels else outputs[:1]

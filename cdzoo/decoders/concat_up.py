"""`concat_up`: coarse levels joined to fine ones and projected, as RS-Mamba and the decoder of MF-Mamba do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Decoder, check_doubling
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.registry import register_decoder


@register_decoder("concat_up")
class ConcatUp(Decoder):
    """From the coarsest level up: double by repeating pixels, join the next finer level, Conv1x1-BN-ReLU to its channels.

    It gives one level, the finest. H and W of the image are padded to multiples of the coarsest stride, so that doubled maps
    meet levels of their size. Source: S. Zhao et al., IEEE TGRS 62 (2024), arXiv 2404.02668.

    Args:
        in_channels: Channels C_i of each level.
        in_strides: Stride of each level; each must be twice the one before.
        early_projection: Project before a map is doubled, without batch norm and ReLU: the coarsest level to C_(i-1), each
            joined map to the channels of the next finer level, the finest to its own. The decoder of MF-Mamba is so.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int], early_projection: bool = False) -> None:
        if len(in_channels) < 2:
            raise ConfigError("concat_up joins at least two levels, but the part before it gives one; use decoder=None")
        check_doubling("the decoder concat_up", in_strides)
        super().__init__(in_channels, in_strides, in_channels[:1], in_strides[:1], pad_multiple=max(in_strides))
        self.coarsest: nn.Module = nn.Identity()
        if early_projection:
            self.coarsest = nn.Conv2d(in_channels[-1], in_channels[-2], 1)
            below = [in_channels[0], *in_channels[:-2]]
            self.projections = nn.ModuleList(nn.Conv2d(2 * c, b, 1) for c, b in zip(in_channels, below, strict=False))
        else:
            self.projections = nn.ModuleList(ConvBNReLU(in_channels[i + 1] + c, c, 1) for i, c in enumerate(in_channels[:-1]))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, C_1, h, w) at the size of its finest level."""
        x = self.coarsest(features[-1])
        for level, project in reversed(list(zip(features[:-1], self.projections, strict=True))):
            x = project(torch.cat([F.interpolate(x, scale_factor=2), level], dim=1))
        return [x]

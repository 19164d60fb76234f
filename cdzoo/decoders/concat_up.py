"""`concat_up`: top-down decoder with concatenation, as in RS-Mamba and MF-Mamba."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.compatibility import check_doubling, check_several_levels
from cdzoo.components import Decoder
from cdzoo.layers import ConvBNReLU
from cdzoo.registry import register_decoder


@register_decoder("concat_up")
class ConcatUp(Decoder):
    """From coarse to fine: 2x nearest upsampling, concatenation with the next finer level, Conv1x1-BN-ReLU to its channels.

    Returns the finest level. H and W of the image are padded to multiples of the coarsest stride, so that upsampled maps have
    the size of the next finer level.

    Source: S. Zhao et al., "RS-Mamba for Large Remote Sensing Image Dense Prediction", IEEE TGRS 62 (2024), arXiv 2404.02668.

    Args:
        in_channels: Number of input channels C_i per level, at least two levels.
        in_strides: Stride per level; each twice the previous one.
        early_projection: Project before upsampling, without batch normalization and ReLU, as in MF-Mamba: the coarsest level
            and each concatenation to the channels of the next finer level, the last concatenation to those of the finest.

    Raises:
        ConfigError: There is only one level, or the strides do not double.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int], early_projection: bool = False) -> None:
        check_several_levels("decoder concat_up", in_channels)
        check_doubling("decoder concat_up", in_strides)
        super().__init__(in_channels, in_strides, in_channels[:1], pad_multiple=max(in_strides))
        self.coarsest: nn.Module = nn.Identity()
        if early_projection:
            self.coarsest = nn.Conv2d(in_channels[-1], in_channels[-2], 1)
            widths = [in_channels[0], *in_channels[:-2]]
            self.projections = nn.ModuleList(nn.Conv2d(2 * c, w, 1) for c, w in zip(in_channels[:-1], widths, strict=True))
        else:
            self.projections = nn.ModuleList(ConvBNReLU(in_channels[i + 1] + c, c, 1) for i, c in enumerate(in_channels[:-1]))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into its finest level (B, C_1, h, w)."""
        x = self.coarsest(features[-1])
        for level, project in reversed(list(zip(features[:-1], self.projections, strict=True))):
            x = project(torch.cat([F.interpolate(x, scale_factor=2), level], dim=1))
        return [x]

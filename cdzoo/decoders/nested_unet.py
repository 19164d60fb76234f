"""`nested_unet`: densely connected decoder of UNet++ and SNUNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cdzoo.compatibility import check_doubling, level_widths
from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import kaiming_init_
from cdzoo.layers.residual_conv import ResidualConv
from cdzoo.registry import register_decoder


@register_decoder("nested_unet")
class NestedUNet(Decoder):
    """Grid of nodes: x_ij = Block([x_i0; x_i1; ...; x_i(j-1); up(x_(i+1)(j-1))]), where x_i0 are the input levels.

    Returns all nodes of the finest level, x_01, x_02, ..., as levels of equal size. Upsampling is a transposed 2x2 convolution.

    Sources: Z. Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA 2018; S. Fang et al.,
    "SNUNet-CD", IEEE GRSL 19 (2022), doi 10.1109/LGRS.2021.3056416.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level; each twice the previous one.
        widths: Number of channels of the nodes per level except the coarsest. Default: the input channels, halved with
            `last_date`.
        last_date: Upsample only the second half of the channels of an input level, those of the second date after the fusion
            `skips`, as in SNUNet. The coarsest level is upsampled as a whole.

    Raises:
        ConfigError: There is only one level, the strides do not double, `widths` does not match the levels, or `last_date` is
            set and a number of channels is odd.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        widths: Sequence[int] | None = None,
        last_date: bool = False,
    ) -> None:
        *skips, coarsest = in_channels
        check_doubling("decoder nested_unet", in_strides)
        if last_date and any(c % 2 for c in skips):
            raise ConfigError(f'decoder nested_unet: last_date=True needs the dates concatenated (fusion "skips"), got {skips}')
        dates = 2 if last_date else 1
        first = [*(c // dates for c in skips), coarsest]  # channels of the input levels that are upsampled
        widths = level_widths("decoder nested_unet", first, widths)
        levels = len(skips)
        super().__init__(in_channels, in_strides, [widths[0]] * levels, [in_strides[0]] * levels, max(in_strides))
        self.last_date = last_date
        self.ups = nn.ModuleList()
        self.nodes = nn.ModuleList()
        for i, (skip, width) in enumerate(zip(skips, widths, strict=True)):
            below = [first[i + 1], *list(widths[i + 1 : i + 2]) * (levels - 1 - i)]
            self.ups.append(nn.ModuleList(nn.ConvTranspose2d(c, c, 2, stride=2) for c in below))
            self.nodes.append(nn.ModuleList(ResidualConv(skip + j * width + c, width) for j, c in enumerate(below)))
        kaiming_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the nodes (B, w_1, h, w) of the finest level, one fewer than there are input levels."""
        rows = [[level] for level in features]
        column = [level[:, level.shape[1] // 2 :] if self.last_date else level for level in features[:-1]] + features[-1:]
        while len(column) > 1:
            column = [self._node(i, rows[i], below) for i, below in enumerate(column[1:])]
            for row, node in zip(rows, column, strict=False):
                row.append(node)
        return rows[0][1:]

    def _node(self, i: int, row: list[Tensor], below: Tensor) -> Tensor:
        """Return the next node of level i, given those before it and the last one of the next coarser level."""
        ups: Any = self.ups[i]
        nodes: Any = self.nodes[i]
        return nodes[len(row) - 1](torch.cat([*row, ups[len(row) - 1](below)], dim=1))

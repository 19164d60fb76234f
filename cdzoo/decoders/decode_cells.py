"""`decode_cells`: multiplicative decoder cells from coarse to fine, the decoder of DMINet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.compatibility import check_several_levels
from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.layers.decode_cell import DecodePath
from cdzoo.registry import register_decoder


@register_decoder("decode_cells")
class DecodeCells(Decoder):
    """From coarse to fine: Conv1x1-BN to the channels of the next finer level, merged with it by a multiplicative cell.

    Returns the result at every level except the coarsest.

    Source: Y. Feng et al., "Change Detection on Remote Sensing Images Using Dual-Branch Multilevel Intertemporal Network", IEEE
    TGRS 61 (2023), doi 10.1109/TGRS.2023.3241257.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level.
        paths: Number of decoders, each for an equal share of the channels of every level; 2 in DMINet, for the joined dates and
            their difference. Their results are concatenated.

    Raises:
        ConfigError: There is only one level, or `paths` does not divide the channels.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, paths: int = 1) -> None:
        check_several_levels("decoder decode_cells", in_channels)
        if paths < 1 or any(c % paths for c in in_channels):
            raise ConfigError(f"decoder decode_cells: paths must divide the channels {tuple(in_channels)}, got {paths}")
        super().__init__(in_channels, in_strides, in_channels[:-1])
        self.paths = nn.ModuleList(DecodePath([c // paths for c in in_channels]) for _ in range(paths))
        normal_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid from coarse to fine; the output has the same shapes without the coarsest level."""
        shares = zip(*(level.chunk(len(self.paths), dim=1) for level in features), strict=True)
        decoded = [path(levels) for path, levels in zip(self.paths, shares, strict=True)]
        return [torch.cat(levels, dim=1) for levels in zip(*decoded, strict=True)]

"""`vss`: VSS blocks on the coarse levels, for the context that a convolutional encoder lacks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers import VSSBlock
from cdzoo.registry import register_neck


@register_neck("vss")
class VSSNeck(Neck):
    """Apply VSS blocks to the coarsest levels; finer levels are returned unchanged.

    The block is that of GLMamba and VMamba (Y. Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, arXiv 2401.10166);
    its use after a convolutional encoder is not from a paper.

    Args:
        in_channels: Number of channels per level.
        in_strides: Stride per level.
        levels: Number of levels with blocks, counted from the coarsest.
        depth: Number of blocks per level.
        d_state: State size N of the scan.
        expand: Ratio of inner channels of a block to its channels.
        scan: Scan order, one of `cdzoo.ops.list_scan_orders()`.

    Raises:
        ConfigError: `levels` is not between 1 and the number of input levels, or another argument is out of range.
    """

    is_local = False

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        levels: int = 2,
        depth: int = 1,
        d_state: int = 16,
        expand: float = 2.0,
        scan: str = "cross",
    ) -> None:
        super().__init__(in_channels, in_strides)
        if not 1 <= levels <= len(in_channels):
            raise ConfigError(f"neck vss: levels must be between 1 and {len(in_channels)}, the number of levels, got {levels}")
        if depth < 1 or d_state < 1 or expand <= 0:
            raise ConfigError(f"neck vss: depth, d_state and expand must be positive, got {depth}, {d_state}, {expand}")
        self.blocks = nn.ModuleList(
            nn.Sequential(*(VSSBlock(channels, d_state, expand, scan, drop_path=0.0) for _ in range(depth)))
            for channels in self.in_channels[-levels:]
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Refine the coarsest levels of the pyramid of one date; the output has the same shapes."""
        untouched = len(features) - len(self.blocks)
        refined = [
            block(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for block, x in zip(self.blocks, features[untouched:], strict=True)
        ]
        return [*features[:untouched], *refined]

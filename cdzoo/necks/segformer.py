"""`segformer`: the levels of one date merged into one map, as in SegFormer and Changer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers.mlp_fuse import MLPFuse
from cdzoo.registry import register_neck


@register_neck("segformer")
class SegFormerNeck(Neck):
    """All-MLP decoder of SegFormer for each date: every level projected, resized to the finest and merged by Conv1x1-BN-ReLU.

    Returns one level at the finest stride. The dates are merged as one batch, so batch normalization uses their joint
    statistics during training; the official code of Changer normalizes each date separately.

    Source: E. Xie et al., "SegFormer", NeurIPS 2021; S. Fang, K. Li, Z. Li, "Changer", IEEE TGRS 61 (2023), arXiv 2209.08290.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level.
        channels: Number of channels of each projected level.
        out_channels: Number of output channels; half of `channels` by default, as in Changer.

    Raises:
        ConfigError: `channels` or `out_channels` is too small.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        channels: int = 128,
        out_channels: int | None = None,
    ) -> None:
        out_channels = channels // 2 if out_channels is None else out_channels
        if channels < 1 or out_channels < 1:
            raise ConfigError(f"neck segformer: channels and out_channels must be at least 1, got {channels}, {out_channels}")
        super().__init__(in_channels, in_strides, [out_channels])
        self.fuse = MLPFuse(in_channels, channels, out_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid of one date into one map (B, out_channels, h, w) of the size of its finest level."""
        return [self.fuse(features)]

"""`attention_unet`: decoder of Attention U-Net with residual blocks, one of the decoders of ICIF-Net."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cdzoo.compatibility import check_several_levels
from cdzoo.components import Decoder
from cdzoo.layers import normal_init_
from cdzoo.layers.gated_merge import GatedPath
from cdzoo.registry import register_decoder


@register_decoder("attention_unet")
class AttentionUNet(Decoder):
    """From coarse to fine: 2x upsampling and concatenation with the next finer level, weighted by an attention gate.

    Returns the finest level. See `cdzoo.layers.gated_merge.GatedMerge`.

    Source: O. Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", MIDL 2018; Y. Feng et al., "ICIF-Net",
    IEEE TGRS 60 (2022), doi 10.1109/TGRS.2022.3168331.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level.

    Raises:
        ConfigError: There is only one level.
    """

    is_local = False  # aligned corners: the grid depends on the size of the image

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None) -> None:
        check_several_levels("decoder attention_unet", in_channels)
        super().__init__(in_channels, in_strides, in_channels[:1])
        self.path = GatedPath(in_channels)
        normal_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into its finest level (B, C_1, h, w)."""
        return [self.path(features)]

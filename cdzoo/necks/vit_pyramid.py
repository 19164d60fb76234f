"""`vit_pyramid`: levels at strides 4, 8, 16 and 32 from maps of other strides, as for plain vision transformers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cdzoo.components import Neck
from cdzoo.layers.vit_pyramid import STRIDES, VitPyramid
from cdzoo.registry import register_neck


@register_neck("vit_pyramid")
class VitPyramidNeck(Neck):
    """Four levels at strides 4, 8, 16 and 32 from one map or from four, such as the blocks of a vision transformer.

    `timm/<vit>` encoders contain this pyramid unless `out_indices` is passed; the neck is for other choices of their blocks, and
    for encoders that are not of timm. See `cdzoo.layers.vit_pyramid.VitPyramid`.

    Args:
        in_channels: Number of input channels of the one level or the four levels.
        in_strides: Stride per level; powers of 2.

    Raises:
        ConfigError: There is another number of levels, or a stride is not a power of 2.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int]) -> None:
        copies = len(STRIDES) if len(in_channels) == 1 else 1
        pyramid = VitPyramid([*in_channels] * copies, [*in_strides] * copies)
        super().__init__(in_channels, in_strides, pyramid.out_channels, STRIDES, pad_multiple=max(STRIDES))
        self.copies = copies
        self.pyramid = pyramid

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid of one date."""
        return self.pyramid(features * self.copies)

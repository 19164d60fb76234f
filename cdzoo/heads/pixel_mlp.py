"""`pixel_mlp`: pixelwise classifier of three layers, the head of TinyCD."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cdzoo.compatibility import check_one_level
from cdzoo.components import Head
from cdzoo.layers import prior_init_
from cdzoo.layers.pixel_mlp import PixelMLP
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("pixel_mlp")
class PixelMLPHead(Head):
    """Pixelwise MLP of a single level with C / 2 and C / 4 hidden channels; the logits are resized bilinearly to the image.

    Source: A. Codegoni, G. Lombardi, A. Ferrari, "TINYCD", Neural Computing and Applications 35 (2023), arXiv 2207.13159.

    Args:
        in_channels: Number of input channels C of the one input level.
        in_strides: Stride of the input level.
        num_classes: Number of output channels.

    Raises:
        ConfigError: There are several levels.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 1) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = check_one_level("head pixel_mlp", in_channels)
        self.classify = PixelMLP([channels, max(1, channels // 2), max(1, channels // 4), num_classes])
        *_, last = self.classify.modules()
        prior_init_(last)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return resize(self.classify(features[0]), size)

"""`deconv`: transposed convolution and classifier, the head of ChangeViT."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.compatibility import check_one_level
from cdzoo.components import Head
from cdzoo.layers import prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("deconv")
class Deconv(Head):
    """2x upsampling of a single level by a transposed Conv4x4, and a Conv3x3 classifier without bias.

    Source: D. Zhu et al., "ChangeViT", arXiv 2406.12847.

    Args:
        in_channels: Number of input channels of the one input level.
        in_strides: Stride of the input level. It is 2 in ChangeViT; for other strides the logits are resized bilinearly to the
            image.
        num_classes: Number of output channels.

    Raises:
        ConfigError: There are several levels.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 1) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = check_one_level("head deconv", in_channels)
        self.up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1, bias=False)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return resize(self.classify(self.up(features[0])), size)

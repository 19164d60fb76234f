"""`fcn`: two convolutions at image size, the head of BIT."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.compatibility import check_one_level
from cdzoo.components import Head
from cdzoo.layers import ConvBNReLU, normal_init_, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("fcn")
class FCN(Head):
    """Bilinear resizing of a single level to the image, followed by Conv3x3-BN-ReLU-Conv3x3.

    Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), arXiv
    2103.00208.

    Args:
        in_channels: Number of input channels of the one input level.
        in_strides: Stride of the input level.
        num_classes: Number of output channels.

    Raises:
        ConfigError: There are several levels.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 2) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = check_one_level("head fcn", in_channels)
        self.smooth = ConvBNReLU(channels, channels)
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1)
        normal_init_(self)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return self.classify(self.smooth(resize(features[0], size)))

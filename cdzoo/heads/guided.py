"""`guided`: head of CGNet, with deep supervision of the guide of its decoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, kaiming_init_, prior_init_
from cdzoo.layers.class_logits import class_logits
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("guided")
class Guided(Head):
    """Conv3x3-BN-ReLU-Conv1x1 of the finest level, resized bilinearly with aligned corners to the image.

    If the second of two levels has one channel, it is a logit of change, such as the guide of the decoder
    `("change_guide", {"return_guide": True})`: training supervises it at image size with the weight of the main output.

    Source: C. Han et al., "Change Guiding Network", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3310208.

    Args:
        in_channels: Number of input channels per level; only the finest level is classified.
        in_strides: Stride per level.
        num_classes: Number of output channels.
        channels: Number of channels between the two convolutions.

    Raises:
        ConfigError: `channels` is below 1.
    """

    is_local = False  # aligned corners: the grid depends on the size of the image

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 1,
        channels: int = 64,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        if channels < 1:
            raise ConfigError(f"head guided: channels must be at least 1, got {channels}")
        self.smooth = ConvBNReLU(in_channels[0], channels)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        if tuple(in_channels[1:]) == (1,):
            self.auxiliary_weights = (1.0,)
        kaiming_init_(self)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return resize(self.classify(self.smooth(features[0])), size, align_corners=True)

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return the guide as logits at image size. All kinds of change are equally likely under the guide."""
        if not self.auxiliary_weights:
            return []
        stride = self.in_strides[1] if self.in_strides else 1
        guide = resize(features[1], [stride * side for side in features[1].shape[-2:]], align_corners=True)
        return [class_logits(guide, self.num_classes)]

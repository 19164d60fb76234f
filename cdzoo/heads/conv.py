"""`conv`: convolutional classifier, as in FC-EF, FC-Siam and ChangeMamba."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.compatibility import check_one_level
from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("conv")
class Conv(Head):
    """Convolution of a single level; the logits are resized bilinearly to the image.

    Args:
        in_channels: Number of input channels of the one input level.
        in_strides: Stride of the input level.
        num_classes: Number of output channels.
        kernel_size: Kernel size; odd.
        transposed: Use a transposed convolution of stride 1, as FC-EF and FC-Siam do.
        dropout: Dropout rate of whole channels before the convolution.
        bias: Whether the convolution has a bias; without one, an untrained model does not start at the prior of change.

    Raises:
        ConfigError: `kernel_size` is even or below 1, `dropout` is not in [0, 1), or there are several levels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 1,
        kernel_size: int = 1,
        transposed: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f"head conv: kernel_size must be odd, got {kernel_size}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"head conv: dropout must be in [0, 1), got {dropout}")
        super().__init__(in_channels, in_strides, num_classes)
        conv = nn.ConvTranspose2d if transposed else nn.Conv2d
        channels = check_one_level("head conv", in_channels)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = conv(channels, num_classes, kernel_size, padding=kernel_size // 2, bias=bias)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return resize(self.classify(self.dropout(features[0])), size)

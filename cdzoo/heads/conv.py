"""`conv`: one convolution to logits, as FC-EF, FC-Siam and ChangeMamba end."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Head, check_one_level
from cdzoo.errors import ConfigError
from cdzoo.registry import register_head


@register_head("conv")
class Conv(Head):
    """One convolution of one level; the logits are enlarged bilinearly when the level is smaller than the image.

    Args:
        in_channels: Channels of the one level taken.
        in_strides: Its stride.
        num_classes: Channels of the logits.
        kernel_size: Odd size of the kernel.
        transposed: Store the kernel as a transposed convolution of stride 1 does, as FC-EF and FC-Siam have it.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 1,
        kernel_size: int = 1,
        transposed: bool = False,
    ) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f"head conv: kernel_size must be odd, got {kernel_size}")
        super().__init__(in_channels, in_strides, num_classes)
        conv = nn.ConvTranspose2d if transposed else nn.Conv2d
        channels = check_one_level("the head conv", in_channels)
        self.classify = conv(channels, num_classes, kernel_size, padding=kernel_size // 2)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for `size` = (H, W)."""
        logits = self.classify(features[0])
        if tuple(logits.shape[-2:]) == tuple(size):
            return logits
        return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)

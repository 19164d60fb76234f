"""`changeformer`: prediction head of ChangeFormer V6, with deep supervision.

Source: W. G. C. Bandara, V. M. Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022, arXiv
2201.01293.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head

SIDE_WEIGHT, FINEST_SIDE_WEIGHT = 0.5, 0.8


class UpsampleBlock(nn.Module):
    """2x upsampling by a transposed Conv4x4, then x + 0.1 Conv3x3(ReLU(Conv3x3(x))): (B, C, h, w) -> (B, C, 2h, 2w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample a map (B, C, h, w)."""
        x = self.up(x)
        return x + 0.1 * self.conv2(F.relu(self.conv1(x)))


@register_head("changeformer")
class ChangeFormerHead(Head):
    """Concatenation of all levels at the size of the finest, two 2x upsampling blocks and a classifier; one side head per level.

    The side heads are used in training only. Their loss weights are 0.5, and 0.8 at the finest level, as in the LEVIR-CD script
    of the official code; each is compared with the target downsampled to its size.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level. The finest stride is 4 in ChangeFormer; for other strides the logits are resized
            bilinearly to the image.
        num_classes: Number of output channels.
        channels: Number of channels of the fused map. Default: those of the finest level.
        supervised: Create the side heads; False in ELGC-Net.

    Raises:
        ConfigError: `channels` is below 1.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 2,
        channels: int | None = None,
        supervised: bool = True,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = in_channels[0] if channels is None else channels
        if channels < 1:
            raise ConfigError(f"head changeformer: channels must be at least 1, got {channels}")
        self.sides = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c, num_classes, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(num_classes),
                nn.Conv2d(num_classes, num_classes, 3, padding=1),
            )
            for c in (in_channels if supervised else ())
        )
        if supervised:
            self.auxiliary_weights = (*[SIDE_WEIGHT] * (len(in_channels) - 1), FINEST_SIDE_WEIGHT)
        self.join = nn.Sequential(nn.Conv2d(sum(in_channels), channels, 1), nn.BatchNorm2d(channels))
        self.enlarge = nn.Sequential(UpsampleBlock(channels), UpsampleBlock(channels))
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1)
        normal_init_(self)
        for side in self.sides.children():
            prior_init_([*side.children()][-1])
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        # Coarsest level first, the order of the official parameters.
        levels = [resize(level, features[0].shape[-2:]) for level in reversed(features)]
        return resize(self.classify(self.enlarge(self.join(torch.cat(levels, dim=1)))), size)

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return logits of every level at the size of the level, coarsest first."""
        if not self.sides:
            return []
        return [side(level) for side, level in reversed(list(zip(self.sides, features, strict=True)))]

"""`changeformer`: the prediction of ChangeFormer V6, with deep supervision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.registry import register_head

_SIDE_WEIGHT, _FINEST_SIDE_WEIGHT = 0.5, 0.8


class Enlarge(nn.Module):
    """Transposed Conv4x4 of stride 2, then x + 0.1 Conv3x3(ReLU(Conv3x3(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Double (B, C, h, w)."""
        x = self.up(x)
        return x + 0.1 * self.conv2(F.relu(self.conv1(x)))


@register_head("changeformer")
class ChangeFormerHead(Head):
    """Joins all levels at the size of the finest, doubles that twice, and classifies; every level has a side head too.

    Source: Bandara and Patel, IGARSS 2022, arXiv 2201.01293. The side heads are trained with the weights 0.5 (0.8 at the
    finest level) of the authors' LEVIR-CD script, each against the mask shrunk to it, and do not run in inference.

    Args:
        in_channels: Channels of each level, finest first.
        in_strides: Stride of each level; the finest is 4 in ChangeFormer. Where doubling it twice does not reach the image,
            the logits are resized bilinearly.
        num_classes: Channels of the logits.
        channels: Channels of the joined map; those of the finest level by default.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 2,
        channels: int | None = None,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = channels or in_channels[0]
        if channels < 1:
            raise ConfigError(f"head changeformer: channels must be at least 1, got {channels}")
        self.sides = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c, num_classes, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(num_classes),
                nn.Conv2d(num_classes, num_classes, 3, padding=1),
            )
            for c in in_channels
        )
        self.auxiliary_weights = (*[_SIDE_WEIGHT] * (len(in_channels) - 1), _FINEST_SIDE_WEIGHT)
        self.join = nn.Sequential(nn.Conv2d(sum(in_channels), channels, 1), nn.BatchNorm2d(channels))
        self.enlarge = nn.Sequential(Enlarge(channels), Enlarge(channels))
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1)
        normal_init_(self)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for `size` = (H, W)."""
        finest = features[0].shape[-2:]
        # The finest level last, as the authors' parameters have it; resizing it to its own size changes nothing.
        coarser = [F.interpolate(f, size=finest, mode="bilinear", align_corners=False) for f in reversed(features[1:])]
        logits = self.classify(self.enlarge(self.join(torch.cat([*coarser, features[0]], dim=1))))
        if tuple(logits.shape[-2:]) == tuple(size):
            return logits
        return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return logits of every level at its own size, coarsest first."""
        return [side(f) for side, f in reversed(list(zip(self.sides, features, strict=True)))]

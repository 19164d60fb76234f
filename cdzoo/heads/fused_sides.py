"""`fused_sides`: a classifier on every level and one on all of their logits, the head of SNUNet without ECAM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.layers import prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("fused_sides")
class FusedSides(Head):
    """Conv1x1 on every level, and Conv1x1 on the concatenation of these logits; all are supervised in training with weight 1.

    The logits of coarser levels are resized bilinearly to the finest.

    Source: S. Fang, K. Li, J. Shao, Z. Li, "SNUNet-CD: A Densely Connected Siamese Network for Change Detection of VHR Images",
    IEEE GRSL 19 (2022), doi 10.1109/LGRS.2021.3056416, its variant without ECAM.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level.
        num_classes: Number of output channels.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 2) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        self.sides = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in in_channels)
        self.classify = nn.Conv2d(len(in_channels) * num_classes, num_classes, 1)
        self.auxiliary_weights = (1.0,) * len(in_channels)
        for layer in (*self.sides, self.classify):
            prior_init_(layer)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        sides = [resize(side, features[0].shape[-2:]) for side in self.auxiliary(features)]
        return resize(self.classify(torch.cat(sides, dim=1)), size)

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return logits of every level at the size of the level, finest first."""
        return [side(level) for side, level in zip(self.sides, features, strict=True)]

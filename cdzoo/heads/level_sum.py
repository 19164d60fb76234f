"""`level_sum`: sum of all levels at the size of the finest, the head of SEIFNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.layers import normal_init_, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("level_sum")
class LevelSum(Head):
    """Sum of the finest level and all coarser ones, resized and projected to its channels, and Conv1x1 at image size.

    Unlike `summation`, every level is resized to the finest at once. Resizing is bilinear.

    Source: Y. Huang, X. Li, Z. Du, H. Shen, "Spatiotemporal Enhancement and Interlevel Fusion Network for Remote Sensing Images
    Change Detection", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3360516.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level.
        num_classes: Number of output channels.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 2) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        self.projections = nn.ModuleList(nn.Conv2d(c, in_channels[0], 1) for c in in_channels[1:])
        self.classify = nn.Conv2d(in_channels[0], num_classes, 1)
        normal_init_(self)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        x, *coarser = features
        for project, level in zip(self.projections, coarser, strict=True):
            x = x + project(resize(level, x.shape[-2:]))
        return self.classify(resize(x, size))

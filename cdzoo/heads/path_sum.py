"""`path_sum`: sum of the logits of several paths, with deep supervision of each, the head of DMINet and ICIF-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, normal_init_, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head

LEVEL_WEIGHT = 0.5


@register_head("path_sum")
class PathSum(Head):
    """Bilinear resizing to the image, ConvBNReLU3x3 and Conv3x3 for each path of each level.

    The output is the sum over the paths of the finest level. In training, every path is supervised, those of the finest level
    with weight 1 and the others with 0.5, in addition to the sum, whose loss the official codes of DMINet and ICIF-Net lack.

    Source: Y. Feng et al., "Change Detection on Remote Sensing Images Using Dual-Branch Multilevel Intertemporal Network", IEEE
    TGRS 61 (2023), doi 10.1109/TGRS.2023.3241257.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level.
        num_classes: Number of output channels.
        paths: Number of paths, each an equal share of the channels of every level.
        channels: Number of hidden channels.
        path_weights: Weight of each path of the finest level in training; 1 by default.

    Raises:
        ConfigError: `paths` does not divide the channels, `path_weights` has another length, or `channels` is below 1.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        num_classes: int = 2,
        paths: int = 1,
        channels: int = 32,
        path_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        if paths < 1 or any(c % paths for c in in_channels):
            raise ConfigError(f"head path_sum: paths must divide the channels {tuple(in_channels)}, got {paths}")
        weights = (1.0,) * paths if path_weights is None else tuple(path_weights)
        if len(weights) != paths or channels < 1:
            raise ConfigError(f"head path_sum: {paths} path_weights and positive channels are needed, got {weights}, {channels}")
        self.auxiliary_weights = weights + (LEVEL_WEIGHT,) * (paths * (len(in_channels) - 1))
        self.levels = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(ConvBNReLU(c // paths, channels, bias=True), nn.Conv2d(channels, num_classes, 3, padding=1))
                for _ in range(paths)
            )
            for c in in_channels
        )
        normal_init_(self)
        for level in self.levels:
            for path in level.children():
                prior_init_([*path.children()][-1])

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return torch.stack(self._classify(0, features[0], size)).sum(0)

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return logits of every path at image size, finest level first."""
        assert self.in_strides is not None
        size = tuple(side * self.in_strides[0] for side in features[0].shape[-2:])
        return [logits for i, level in enumerate(features) for logits in self._classify(i, level, size)]

    def _classify(self, index: int, level: Tensor, size: Sequence[int]) -> list[Tensor]:
        paths: Any = self.levels[index]
        return [path(resize(x, size)) for path, x in zip(paths, level.chunk(len(paths), dim=1), strict=True)]

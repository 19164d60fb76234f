"""`summation`: prediction head of GLMamba.

Source: S. Liu et al., IEEE JSTARS 19 (2026), doi 10.1109/JSTARS.2026.3675679.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, kaiming_init_, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("summation")
class Summation(Head):
    """Sum of all levels, projected to C channels and upsampled from coarse to fine, and a classifier at image size.

    Projections are Conv1x1, upsampling is bilinear, and the classifier is Conv3x3-BN-ReLU-Conv1x1.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level.
        num_classes: Number of output channels.
        channels: Number of channels C of the sum. Default: those of the finest level.

    Raises:
        ConfigError: `channels` is below 1.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 1,
        channels: int | None = None,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = in_channels[0] if channels is None else channels
        if channels < 1:
            raise ConfigError(f"head summation: channels must be at least 1, got {channels}")
        hidden = max(1, channels // 2)
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.smooth = ConvBNReLU(channels, hidden)
        self.classify = nn.Conv2d(hidden, num_classes, 1)
        kaiming_init_(self)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        *finer, x = [lateral(level) for lateral, level in zip(self.laterals, features, strict=True)]
        for level in reversed(finer):
            x = level + resize(x, level.shape[-2:])
        return self.classify(self.smooth(resize(x, size)))

"""`stepwise`: two 2x upsampling blocks with decreasing channels, the head of RS-Mamba."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.compatibility import check_one_level
from cdzoo.components import Head
from cdzoo.layers import prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head

LAST_CHANNELS = 8


class UpsampleBlock(nn.Sequential):
    """Conv3x3 (with bias), BN, ReLU and 2x bilinear upsampling with aligned corners.

    (B, in_channels, h, w) -> (B, channels, 2h, 2w).
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        )


@register_head("stepwise")
class Stepwise(Head):
    """Two 2x upsampling blocks of a single level, with C / 2 and 8 channels, followed by a Conv7x7 classifier.

    Source: S. Zhao et al., "RS-Mamba for Large Remote Sensing Image Dense Prediction", IEEE TGRS 62 (2024), arXiv 2404.02668.

    Args:
        in_channels: Number of input channels C of the one input level.
        in_strides: Stride of the input level. It is 4 in RS-Mamba; for other strides the logits are resized bilinearly to the
            image.
        num_classes: Number of output channels.

    Raises:
        ConfigError: There are several levels.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 1) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        channels = check_one_level("head stepwise", in_channels)
        hidden = max(1, channels // 2)
        self.enlarge = nn.Sequential(UpsampleBlock(channels, hidden), UpsampleBlock(hidden, LAST_CHANNELS))
        self.classify = nn.Conv2d(LAST_CHANNELS, num_classes, 7, padding=3)
        prior_init_(self.classify)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return resize(self.classify(self.enlarge(features[0])), size)

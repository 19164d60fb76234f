"""Feature pyramid from maps of one stride, for plain vision transformers.

Source: Y. Li, H. Mao, R. Girshick, K. He, "Exploring Plain Vision Transformer Backbones for Object Detection" (ViTDet), ECCV
2022, arXiv 2203.16527.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.errors import ConfigError

STRIDES = (4, 8, 16, 32)


class VitPyramid(nn.Module):
    """Normalize each map and bring it to stride 4, 8, 16 or 32: (B, C_i, h, w) -> (B, C'_i, H / s_i, W / s_i).

    Each map passes a layer norm over its channels. Every 2x upsampling is a transposed Conv2x2 that halves the channels, with
    layer norm and GELU between two of them; downsampling is max pooling and keeps the channels.

    Args:
        channels: Number of channels of each map, finest level of the result first; four maps.
        strides: Stride of each map; powers of 2.

    Attributes:
        out_channels: Number of channels of each level.

    Raises:
        ConfigError: There are not four maps, or a stride is not a power of 2.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        if len(channels) != len(STRIDES) or any(stride < 1 or stride & (stride - 1) for stride in strides):
            raise ConfigError(
                f"vit_pyramid expects four levels whose strides are powers of 2, got channels {tuple(channels)} and strides "
                f"{tuple(strides)}"
            )
        self.levels = nn.ModuleList()
        widths = []
        for width, stride, target in zip(channels, strides, STRIDES, strict=True):
            halvings = max(0, (stride // target).bit_length() - 1)
            self.levels.append(_resample(width, halvings, max(1, target // stride)))
            widths.append(_halved(width, halvings))
        self.out_channels = tuple(widths)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid of four maps."""
        return [level(feature) for level, feature in zip(self.levels, features, strict=True)]


def _resample(channels: int, halvings: int, pool: int) -> nn.Sequential:
    from timm.layers import LayerNorm2d  # imported here because timm takes seconds to import

    layers: list[nn.Module] = [LayerNorm2d(channels)]
    for step in range(halvings):
        if step:
            layers += [LayerNorm2d(_halved(channels, step)), nn.GELU()]
        layers.append(nn.ConvTranspose2d(_halved(channels, step), _halved(channels, step + 1), 2, stride=2))
    if pool > 1:
        layers.append(nn.MaxPool2d(pool, ceil_mode=True))
    return nn.Sequential(*layers)


def _halved(channels: int, times: int) -> int:
    return max(1, channels >> times)

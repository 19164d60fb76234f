"""`top_down`: top-down decoder with addition, as in ChangeMamba."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder


@register_decoder("top_down")
class TopDown(Decoder):
    """From coarse to fine: bilinear upsampling, addition to the next finer level, residual block of ResNet-18.

    Returns the finest level. In ChangeMamba all levels have 128 channels; levels with another number of channels are projected
    by Conv1x1 first.

    Source: H. Chen et al., "ChangeMamba", IEEE TGRS 62 (2024), arXiv 2404.03425.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level.
        channels: Number of output channels. Default: those of the finest level.

    Raises:
        ConfigError: `channels` is below 1.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, channels: int | None = None) -> None:
        from torchvision.models.resnet import BasicBlock  # imported here because torchvision takes long to import

        channels = in_channels[0] if channels is None else channels
        if channels < 1:
            raise ConfigError(f"decoder top_down: channels must be at least 1, got {channels}")
        super().__init__(in_channels, in_strides, [channels])
        self.laterals = nn.ModuleList(nn.Identity() if c == channels else nn.Conv2d(c, channels, 1) for c in in_channels)
        self.smooth = nn.ModuleList(BasicBlock(channels, channels) for _ in in_channels[1:])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, channels, h, w) of the size of its finest level."""
        *finer, x = [lateral(f) for lateral, f in zip(self.laterals, features, strict=True)]
        for level, smooth in reversed(list(zip(finer, self.smooth, strict=True))):
            x = smooth(level + resize(x, level.shape[-2:]))
        return [x]

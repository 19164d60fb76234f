"""`lightcdnet`: stem of LightCDNet, one level at stride 2."""

from __future__ import annotations

from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.layers.shuffle_unit import shuffle_unit
from cdzoo.registry import register_backbone


@register_backbone("lightcdnet")
class LightCDNetStem(Backbone):
    """GELU(LN(Conv3x3)) of stride 2, then units of ShuffleNet V2 between two pointwise convolutions, with a shortcut.

    Source: Y. Xing et al., "LightCDNet: Lightweight Change Detection Network Based on VHR Images", IEEE GRSL 20 (2023), doi
    10.1109/LGRS.2023.3304309.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels of the level.
        width: Number of channels of the units; even.
        depth: Number of units.

    Raises:
        ConfigError: A number is below 1, or `width` is odd.
    """

    is_local = True

    def __init__(self, in_chans: int = 3, channels: int = 24, width: int = 96, depth: int = 4) -> None:
        if min(channels, width, depth) < 1 or width % 2:
            raise ConfigError(
                f"backbone lightcdnet: channels, width and depth must be at least 1, and width even, got {channels}, {width} and "
                f"{depth}"
            )
        super().__init__(in_chans, [channels], [2], pad_multiple=1)
        self.conv = nn.Conv2d(in_chans, channels, 3, stride=2, padding=1, bias=False)
        self.norm = nn.LayerNorm(channels)
        self.act = nn.GELU()
        self.units = nn.Sequential(ConvBNReLU(channels, width, 1), *(shuffle_unit(width, width) for _ in range(depth)))
        self.project = ConvBNReLU(width, channels, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one level (B, channels, ceil(H / 2), ceil(W / 2))."""
        x = self.act(self.norm(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return [x + self.project(self.run_stage(self.units, x))]

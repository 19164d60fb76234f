"""`cdmamba`: encoder of CDMamba, which scans maps of full resolution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.layers.mamba import MambaBlock, MambaConv
from cdzoo.layers.stages import StagedBackbone
from cdzoo.registry import register_backbone


@register_backbone("cdmamba")
class CDMambaEncoder(StagedBackbone):
    """Conv3x3 and stages of scans with local convolutions, at strides 1, 2, 4, 8, with max pooling between them.

    Maps are scanned row by row in both directions. The official code recovers the sides of a map from its number of pixels and
    therefore takes square images only, which is the default.

    Source: H. Zhang, K. Chen, C. Liu, H. Chen, Z. Zou, Z. Shi, "CDMamba: Incorporating Local Clues Into Mamba for Remote Sensing
    Image Binary Change Detection", IEEE TGRS 63 (2025), arXiv 2406.04207.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels of the first stage; they double from stage to stage.
        depths: Number of blocks per stage.
        square: Accept square images only.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, in_chans: int = 3, channels: int = 16, depths: Sequence[int] = (1, 2, 2, 4), square: bool = True) -> None:
        widths = [channels * 2**i for i in range(len(depths))]
        super().__init__("cdmamba", in_chans, widths, depths, first_stride=1)
        self.square = square
        self.stem = nn.Conv2d(in_chans, channels, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            down: nn.Module = nn.Sequential(MambaConv(width // 2, width), nn.MaxPool2d(2)) if i else nn.Identity()
            self.stages.append(nn.Sequential(down, *(MambaBlock(width) for _ in range(depth))))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, H / s_i, W / s_i) per stage."""
        return self.run_stages(self.stem(x))

"""`vss`: the visual state space backbone of GLMamba.

Source: S. Liu et al., "GLMamba: A Global-Local Mamba Network for Efficient Remote Sensing Change Detection", IEEE JSTARS 19
(2026), doi 10.1109/JSTARS.2026.3675679; the block is VMamba's gated one (Liu et al., 2024, arXiv 2401.10166).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import VSSBlock
from cdzoo.registry import register_backbone


class PatchEmbed(nn.Module):
    """Non-overlapping 4x4 patches: (B, in_chans, H, W) -> channels-last (B, H / 4, W / 4, channels)."""

    def __init__(self, in_chans: int, channels: int, patch_size: int = 4) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, channels, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Embed an image."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """Halves a channels-last map: (B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2 C).

    The 2x2 neighbours are joined in the order (0, 0), (1, 0), (0, 1), (1, 1) of (row, column).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Merge 2x2 neighbours; odd sizes get a row or column of zeros."""
        height, width = x.shape[1:3]
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], dim=-1)
        return self.reduction(self.norm(x))


@register_backbone("vss")
class VSSBackbone(Backbone):
    """Four stages of VSS blocks at strides 4, 8, 16 and 32 with C, 2C, 4C and 8C channels.

    Mamba's initialisation is kept throughout; nothing is overwritten with Kaiming weights or zero biases, which would
    destroy that of dt.

    Args:
        in_chans: Bands of the image.
        channels: C, the channels of the first stage.
        depths: Blocks per stage.
        d_state: State size N of the scan.
        expand: Inner width of a block as a multiple of its channels.
        scan: `"cross"` reads rows, columns and their reverses (VMamba); `"corners"` reads rows from each of the four corners.
        drop_path: Largest stochastic-depth rate; it grows linearly from 0 over the blocks.
    """

    def __init__(
        self,
        in_chans: int = 3,
        channels: int = 40,
        depths: Sequence[int] = (2, 2, 6, 2),
        d_state: int = 16,
        expand: float = 2.0,
        scan: str = "cross",
        drop_path: float = 0.0,
    ) -> None:
        if channels < 1 or d_state < 1 or expand <= 0:
            raise ConfigError(f"vss: channels, d_state and expand must be positive, got {channels}, {d_state}, {expand}")
        if not depths or any(depth < 1 for depth in depths):
            raise ConfigError(f"vss: depths must be positive integers, one per stage, got {tuple(depths)}")
        if not 0 <= drop_path < 1:
            raise ConfigError(f"vss: drop_path must be in [0, 1), got {drop_path}")
        widths = [channels * 2**i for i in range(len(depths))]
        super().__init__(in_chans, widths, [4 * 2**i for i in range(len(depths))])
        rates = [drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths))]
        self.patch_embed = PatchEmbed(in_chans, channels)
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks: list[nn.Module] = [PatchMerging(width // 2)] if i else []
            blocks += [VSSBlock(width, d_state, expand, scan, rates.pop(0)) for _ in range(depth)]
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one (B, C_i, H / s_i, W / s_i) map per stage."""
        x = self.patch_embed(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x.permute(0, 3, 1, 2))
        return features

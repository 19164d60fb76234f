"""`vss`: visual state space backbone of GLMamba.

Source: S. Liu et al., "GLMamba: A Global-Local Mamba Network for Efficient Remote Sensing Change Detection", IEEE JSTARS 19
(2026), doi 10.1109/JSTARS.2026.3675679; with the gated block of VMamba (Y. Liu et al., NeurIPS 2024, arXiv 2401.10166).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers import VSSBlock
from cdzoo.layers.drop_path import drop_path_rates
from cdzoo.layers.stages import StagedBackbone
from cdzoo.registry import register_backbone


class PatchEmbed(nn.Module):
    """Embedding of non-overlapping patches p x p: (B, in_chans, H, W) -> channels-last (B, H / p, W / p, channels)."""

    def __init__(self, in_chans: int, channels: int, patch_size: int = 4) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, channels, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the patch embeddings of an image."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """2x downsampling of a channels-last map: (B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2 C).

    The 2x2 neighbors are concatenated in the order (0, 0), (1, 0), (0, 1), (1, 1) of (row, column).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Merge 2x2 neighbors; odd sizes are padded with a row or column of zeros."""
        height, width = x.shape[1:3]
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], dim=-1)
        return self.reduction(self.norm(x))


@register_backbone("vss")
class VSSBackbone(StagedBackbone):
    """Stages of VSS blocks at strides 4, 8, 16, 32 and with C, 2C, 4C, 8C channels.

    The initialization of Mamba is kept; Kaiming weights or zero biases would destroy the initial values of dt.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels C of the first stage.
        depths: Number of blocks per stage.
        d_state: State size N of the scan.
        expand: Ratio of inner channels of a block to its channels.
        scan: Scan order, one of `cdzoo.ops.list_scan_orders()`: `"cross"` scans rows and columns in both directions (VMamba),
            `"corners"` scans rows from each of the four corners.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.

    Raises:
        ConfigError: An argument is out of range.
    """

    stages_channels_last = True

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
            raise ConfigError(f"backbone vss: channels, d_state and expand must be positive, got {channels}, {d_state}, {expand}")
        widths = [channels * 2**i for i in range(len(depths))]
        super().__init__("vss", in_chans, widths, depths, drop_path)
        self.patch_embed = PatchEmbed(in_chans, channels)
        self.stages = nn.ModuleList()
        for i, (width, rates) in enumerate(zip(widths, drop_path_rates(drop_path, depths), strict=True)):
            blocks: list[nn.Module] = [PatchMerging(width // 2)] if i else []
            blocks += [VSSBlock(width, d_state, expand, scan, rate) for rate in rates]
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, H / s_i, W / s_i) per stage."""
        return [level.permute(0, 3, 1, 2) for level in self.run_stages(self.patch_embed(x))]

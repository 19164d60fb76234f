"""`vss`: visual state space backbone of GLMamba.

Source: S. Liu et al., "GLMamba: A Global-Local Mamba Network for Efficient Remote Sensing Change Detection", IEEE JSTARS 19
(2026), doi 10.1109/JSTARS.2026.3675679; with the gated block of VMamba (Y. Liu et al., NeurIPS 2024, arXiv 2401.10166).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers import VSSBlock
from cdzoo.layers.drop_path import drop_path_rates
from cdzoo.layers.patches import PatchEmbed, PatchMerging
from cdzoo.layers.stages import StagedBackbone
from cdzoo.registry import register_backbone


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

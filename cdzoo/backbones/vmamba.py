"""`vmamba`, `vmamba_tiny`, `vmamba_small`, `vmamba_base`: VMamba, the backbone of ChangeMamba and RS-Mamba.

Sources: Y. Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, arXiv 2401.10166; H. Chen et al., "ChangeMamba",
IEEE TGRS 62 (2024), arXiv 2404.03425, for the sizes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers import VSSBlock, truncated_init_
from cdzoo.layers.drop_path import drop_path_rates
from cdzoo.layers.stages import StagedBackbone
from cdzoo.registry import register_backbone


class ConvNorm(nn.Module):
    """Conv3x3 of stride 2 and layer norm, channels last.

    (B, H, W, in_channels) -> (B, ceil(H / 2), ceil(W / 2), channels).
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Downsample a map by 2."""
        return self.norm(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


@register_backbone("vmamba")
class VMamba(StagedBackbone):
    """Stages of VSS blocks with MLPs at strides 4, 8, 16, 32 and with C, 2C, 4C, 8C channels.

    Accepts images of any size: downsampling rounds sizes up, as in the official code, and nothing is padded. The patch
    embedding is Conv-LN-GELU-Conv-LN with 3x3 convolutions of stride 2. Linear layers are initialized from a truncated normal
    distribution with standard deviation 0.02; the scan keeps the initialization of Mamba.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels C of the first stage; even.
        depths: Number of blocks per stage.
        d_state: State size N of the scan; 1 in VMamba.
        expand: Ratio of inner channels of a block to its channels.
        scan: Scan order, one of `cdzoo.ops.list_scan_orders()`.
        gated: Multiply the output of the scan by SiLU(z), as in RS-Mamba.
        conv_bias: Add a bias to the depthwise convolutions, as in RS-Mamba.
        mlp_ratio: Ratio of hidden channels of the MLPs to the channels; 0 for no MLP.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.
        out_norm: Apply layer norm to every returned level, as in ChangeMamba.

    Raises:
        ConfigError: An argument is out of range.
    """

    stages_channels_last = True

    def __init__(
        self,
        in_chans: int = 3,
        channels: int = 96,
        depths: Sequence[int] = (2, 2, 4, 2),
        d_state: int = 1,
        expand: float = 2.0,
        scan: str = "cross",
        gated: bool = False,
        conv_bias: bool = False,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.2,
        out_norm: bool = True,
    ) -> None:
        if channels < 2 or channels % 2 or d_state < 1 or expand <= 0 or mlp_ratio < 0:
            raise ConfigError(
                "backbone vmamba: channels must be positive and even, d_state and expand positive, mlp_ratio non-negative, "
                f"got {channels}, {d_state}, {expand}, {mlp_ratio}"
            )
        widths = [channels * 2**i for i in range(len(depths))]
        super().__init__("vmamba", in_chans, widths, depths, drop_path, pad_multiple=1)
        self.patch_embed = nn.Sequential(ConvNorm(in_chans, channels // 2), nn.GELU(), ConvNorm(channels // 2, channels))
        self.stages = nn.ModuleList()
        for i, (width, rates) in enumerate(zip(widths, drop_path_rates(drop_path, depths), strict=True)):
            blocks = [VSSBlock(width, d_state, expand, scan, rate, gated, conv_bias, mlp_ratio) for rate in rates]
            downsample = {"downsample": ConvNorm(width // 2, width)} if i else {}
            self.stages.append(nn.Sequential(OrderedDict(downsample, blocks=nn.Sequential(*blocks))))
        self.norms = nn.ModuleList(nn.LayerNorm(width) if out_norm else nn.Identity() for width in widths)
        truncated_init_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, ceil(H / s_i), ceil(W / s_i)) per stage."""
        levels = self.run_stages(self.patch_embed(x.permute(0, 2, 3, 1)))
        return [norm(level).permute(0, 3, 1, 2) for norm, level in zip(self.norms, levels, strict=True)]


@register_backbone
def vmamba_tiny(in_chans: int = 3, depths: Sequence[int] = (2, 2, 4, 2), drop_path: float = 0.2) -> VMamba:
    """VMamba-Tiny: 96 channels in the first stage, 2-2-4-2 blocks.

    Args:
        in_chans: Number of input channels.
        depths: Number of blocks per stage; the releases of VMamba differ in the third stage.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.
    """
    return VMamba(in_chans, 96, depths, drop_path=drop_path)


@register_backbone
def vmamba_small(in_chans: int = 3, depths: Sequence[int] = (2, 2, 15, 2), drop_path: float = 0.3) -> VMamba:
    """VMamba-Small: 96 channels in the first stage, 2-2-15-2 blocks.

    Args:
        in_chans: Number of input channels.
        depths: Number of blocks per stage.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.
    """
    return VMamba(in_chans, 96, depths, drop_path=drop_path)


@register_backbone
def vmamba_base(in_chans: int = 3, depths: Sequence[int] = (2, 2, 15, 2), drop_path: float = 0.6) -> VMamba:
    """VMamba-Base: 128 channels in the first stage, 2-2-15-2 blocks.

    Args:
        in_chans: Number of input channels.
        depths: Number of blocks per stage.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.
    """
    return VMamba(in_chans, 128, depths, drop_path=drop_path)

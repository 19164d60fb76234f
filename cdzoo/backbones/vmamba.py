"""`vmamba` and its sizes `vmamba_tiny`, `vmamba_small`, `vmamba_base`: the encoder of ChangeMamba and, wider read, of RS-Mamba.

Sources: Y. Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, arXiv 2401.10166; H. Chen et al., "ChangeMamba",
IEEE TGRS 62 (2024), arXiv 2404.03425, for the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import VSSBlock, truncated_init_
from cdzoo.registry import register_backbone


class ConvNorm(nn.Module):
    """Conv3x3 of stride 2 on a channels-last map, then layer norm: (B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), C')."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Halve a map."""
        return self.norm(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class Stage(nn.Module):
    """A halving of the map (none in the first stage), then blocks."""

    def __init__(self, downsample: nn.Module | None, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Encode one stage, channels last."""
        return self.blocks(x if self.downsample is None else self.downsample(x))


@register_backbone("vmamba")
class VMamba(Backbone):
    """Four stages of VSS blocks with MLPs at strides 4, 8, 16 and 32 with C, 2C, 4C and 8C channels, any size of image.

    Sizes are rounded up where they are halved, as in the authors' code; nothing is padded. The patch embedding is
    Conv-LN-GELU-Conv-LN, each convolution 3x3 of stride 2. Linear layers start from a normal distribution cut at 2, with
    deviation 0.02; the scan keeps Mamba's initialisation.

    Args:
        in_chans: Bands of the image.
        channels: C, the channels of the first stage; even.
        depths: Blocks per stage.
        d_state: State size N of the scan; 1 in VMamba.
        expand: Inner width of a block as a multiple of its channels.
        scan: Order of the directions, see `cdzoo.ops.list_scan_orders`.
        gated: Gate the scan by SiLU(z), as RS-Mamba does.
        conv_bias: Bias in the depthwise convolutions, as in RS-Mamba.
        mlp_ratio: Hidden width of the MLPs as a multiple of the channels; 0 for none.
        drop_path: Largest stochastic-depth rate; it grows linearly from 0 over the blocks.
        out_norm: Layer norm on every level that is returned, as in ChangeMamba.
    """

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
                f"vmamba: channels must be even, d_state and expand positive, mlp_ratio not negative; got {channels}, {d_state}, "
                f"{expand}, {mlp_ratio}"
            )
        if not depths or any(depth < 1 for depth in depths):
            raise ConfigError(f"vmamba: depths must be positive integers, one per stage, got {tuple(depths)}")
        if not 0 <= drop_path < 1:
            raise ConfigError(f"vmamba: drop_path must be in [0, 1), got {drop_path}")
        widths = [channels * 2**i for i in range(len(depths))]
        super().__init__(in_chans, widths, [4 * 2**i for i in range(len(depths))], pad_multiple=1)
        rates = [drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths))]
        self.patch_embed = nn.Sequential(ConvNorm(in_chans, channels // 2), nn.GELU(), ConvNorm(channels // 2, channels))
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = [VSSBlock(width, d_state, expand, scan, rates.pop(0), gated, conv_bias, mlp_ratio) for _ in range(depth)]
            self.stages.append(Stage(ConvNorm(width // 2, width) if i else None, blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width) if out_norm else nn.Identity() for width in widths)
        truncated_init_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one (B, C_i, ceil(H / s_i), ceil(W / s_i)) map per stage."""
        x = self.patch_embed(x.permute(0, 2, 3, 1))
        features = []
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = stage(x)
            features.append(norm(x).permute(0, 3, 1, 2))
        return features


@register_backbone("vmamba_tiny")
class VMambaTiny(VMamba):
    """VMamba with C = 96, blocks 2-2-4-2.

    Args:
        in_chans: Bands of the image.
        depths: Blocks per stage; VMamba's releases differ in those of the third.
        drop_path: Largest stochastic-depth rate.
    """

    def __init__(self, in_chans: int = 3, depths: Sequence[int] = (2, 2, 4, 2), drop_path: float = 0.2) -> None:
        super().__init__(in_chans, 96, depths, drop_path=drop_path)


@register_backbone("vmamba_small")
class VMambaSmall(VMamba):
    """VMamba with C = 96, blocks 2-2-15-2.

    Args:
        in_chans: Bands of the image.
        depths: Blocks per stage.
        drop_path: Largest stochastic-depth rate.
    """

    def __init__(self, in_chans: int = 3, depths: Sequence[int] = (2, 2, 15, 2), drop_path: float = 0.3) -> None:
        super().__init__(in_chans, 96, depths, drop_path=drop_path)


@register_backbone("vmamba_base")
class VMambaBase(VMamba):
    """VMamba with C = 128, blocks 2-2-15-2.

    Args:
        in_chans: Bands of the image.
        depths: Blocks per stage.
        drop_path: Largest stochastic-depth rate.
    """

    def __init__(self, in_chans: int = 3, depths: Sequence[int] = (2, 2, 15, 2), drop_path: float = 0.6) -> None:
        super().__init__(in_chans, 128, depths, drop_path=drop_path)

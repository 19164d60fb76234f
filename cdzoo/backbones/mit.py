"""`mit`: Mix Transformer, the hierarchical transformer backbone of SegFormer, and its sizes.

Source: E. Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021, arXiv
2105.15203. The blocks are those of PVT v2 in timm, which are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers import truncated_init_
from cdzoo.layers.drop_path import drop_path_rates
from cdzoo.layers.stages import StagedBackbone
from cdzoo.registry import register_backbone


class Stage(nn.Module):
    """Patch embedding, blocks and layer norm: (B, in_channels, H, W) -> (B, channels, H / stride, W / stride)."""

    def __init__(self, patch_embed: nn.Module, blocks: Sequence[nn.Module], norm: nn.Module) -> None:
        super().__init__()
        self.patch_embed = patch_embed
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stage."""
        x = self.patch_embed(x)  # (B, h, w, C)
        size = x.shape[1:3]
        x = x.flatten(1, 2)
        for block in self.blocks:
            x = block(x, size)
        x = self.norm(x).transpose(1, 2)
        return x.view(*x.shape[:2], *size)  # `unflatten` would fix the size of an exported program


@register_backbone("mit")
class MiT(StagedBackbone):
    """Stages of transformer blocks with spatially reduced keys and values, at strides 4, 8, 16, 32.

    The defaults are those of MiT-B0. H and W may be any numbers of at least 32.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels per stage.
        depths: Number of blocks per stage.
        heads: Number of attention heads per stage; must divide the channels.
        reductions: Downsampling factor of the keys and values per stage.
        patch_sizes: Kernel size of the patch embedding per stage.
        mlp_ratio: Ratio of hidden channels of the MLP to the channels.
        drop: Dropout rate of the outputs of MLP and attention.
        attn_drop: Dropout rate of the attention weights.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.

    Raises:
        ConfigError: The lists differ in length, have values below 1, or an argument is out of range.
    """

    name: ClassVar[str] = "mit"

    def __init__(
        self,
        in_chans: int = 3,
        channels: Sequence[int] = (32, 64, 160, 256),
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (1, 2, 5, 8),
        reductions: Sequence[int] = (8, 4, 2, 1),
        patch_sizes: Sequence[int] = (7, 3, 3, 3),
        mlp_ratio: float = 4.0,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.1,
    ) -> None:
        from timm.models.pvt_v2 import Block, OverlapPatchEmbed  # imported here because timm takes seconds to import

        num_stages = len(channels)
        per_stage = {"channels": channels, "depths": depths, "heads": heads, "reductions": reductions, "patch_sizes": patch_sizes}
        if not num_stages or any(len(values) != num_stages or min(values) < 1 for values in per_stage.values()):
            raise ConfigError(f"backbone {self.name}: {', '.join(per_stage)} need one value of at least 1 per stage")
        for width, num_heads in zip(channels, heads, strict=True):
            if int(mlp_ratio * width) < 1:
                raise ConfigError(f"backbone {self.name}: mlp_ratio must be positive, got {mlp_ratio}")
            if width % num_heads:
                raise ConfigError(f"backbone {self.name}: {width} channels are not divisible by {num_heads} heads")
        super().__init__(self.name, in_chans, channels, depths, drop_path, pad_multiple=1)
        self.stages = nn.ModuleList()
        shared = {"qkv_bias": True, "proj_drop": drop, "attn_drop": attn_drop}
        for i, (width, rates) in enumerate(zip(channels, drop_path_rates(drop_path, depths), strict=True)):
            blocks = [Block(width, heads[i], mlp_ratio, reductions[i], drop_path=rate, **shared) for rate in rates]
            embed = OverlapPatchEmbed(patch_sizes[i], 2 if i else 4, channels[i - 1] if i else in_chans, width)
            self.stages.append(Stage(embed, blocks, nn.LayerNorm(width)))
        for norm in self.modules():
            if isinstance(norm, nn.LayerNorm):
                norm.eps = 1e-6
        truncated_init_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one level (B, C_i, H / s_i, W / s_i) per stage."""
        return self.run_stages(x)


@register_backbone
def mit_b0(in_chans: int = 3, depths: Sequence[int] = (2, 2, 2, 2), drop_path: float = 0.1) -> MiT:
    """MiT-B0: 32, 64, 160 and 256 channels.

    Args:
        in_chans: Number of input channels.
        depths: Number of blocks per stage.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.
    """
    return MiT(in_chans, depths=depths, drop_path=drop_path)


@register_backbone
def mit_b1(in_chans: int = 3, depths: Sequence[int] = (2, 2, 2, 2), drop_path: float = 0.1) -> MiT:
    """MiT-B1: 64, 128, 320 and 512 channels.

    Args:
        in_chans: Number of input channels.
        depths: Number of blocks per stage.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.
    """
    return MiT(in_chans, (64, 128, 320, 512), depths, drop_path=drop_path)

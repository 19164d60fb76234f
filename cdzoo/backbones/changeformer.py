"""`changeformer`: hierarchical transformer backbone of ChangeFormer V6.

Source: W. G. C. Bandara, V. M. Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022, arXiv
2201.01293; based on SegFormer (E. Xie et al., NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.layers.drop_path import check_stages, drop_path_rates
from cdzoo.layers.drop_path import drop_path as drop_path_layer
from cdzoo.registry import register_backbone


class OverlapPatchEmbed(nn.Module):
    """Strided Conv7x7 and layer norm: (B, in_channels, H, W) -> tokens (B, h * w, channels) and the map size (h, w)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 7, stride=stride, padding=3)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return the tokens of a map and the map size (h, w)."""
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), (x.shape[2], x.shape[3])


class ReducedAttention(nn.Module):
    """Self-attention with keys and values from the map downsampled by a strided convolution."""

    def __init__(self, channels: int, heads: int, reduction: int, attn_drop: float, drop: float) -> None:
        super().__init__()
        self.heads = heads
        self.attn_drop = attn_drop
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.drop = nn.Dropout(drop)
        self.sr: nn.Module | None = None
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, stride=reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply attention to the tokens (B, h * w, C) of a map of `size` (h, w); the output has the same shape."""
        batch, tokens, channels = x.shape
        keys = x
        if self.sr is not None:
            keys = self.norm(self.sr(x.transpose(1, 2).reshape(batch, channels, *size)).flatten(2).transpose(1, 2))
        q = self.q(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
        k, v = self.kv(keys).view(batch, keys.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_drop if self.training else 0.0)
        return self.drop(self.proj(y.transpose(1, 2).reshape(batch, tokens, channels)))


class ConvMlp(nn.Module):
    """fc2(GELU(DWConv3x3(fc1(x)))) on tokens, with dropout after GELU and after fc2."""

    def __init__(self, channels: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply to the tokens (B, h * w, C) of a map of `size` (h, w); the output has the same shape."""
        x = self.fc1(x).transpose(1, 2)  # (B, hidden, h * w)
        x = self.dwconv(x.reshape(*x.shape[:2], *size)).flatten(2).transpose(1, 2)
        return self.drop(self.fc2(self.drop(F.gelu(x))))


class Block(nn.Module):
    """Transformer block: x + Attention(LN(x)), then x + ConvMlp(LN(x))."""

    def __init__(
        self, channels: int, heads: int, reduction: int, mlp_ratio: float, drop: float, attn_drop: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = ReducedAttention(channels, heads, reduction, attn_drop, drop)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = ConvMlp(channels, int(mlp_ratio * channels), drop)
        self.drop_path = drop_path_layer(drop_path)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply to the tokens (B, h * w, C) of a map of `size` (h, w); the output has the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


class Stage(nn.Module):
    """Patch embedding, blocks and layer norm: (B, in_channels, H, W) -> (B, channels, H / stride, W / stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.patch_embed = OverlapPatchEmbed(in_channels, channels, stride)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stage."""
        x, size = self.patch_embed(x)
        for block in self.blocks:
            x = block(x, size)
        return self.norm(x).transpose(1, 2).reshape(x.shape[0], -1, *size)


@register_backbone("changeformer")
class ChangeFormerEncoder(Backbone):
    """Stages of transformer blocks with spatially reduced keys and values, at strides 4, 8, 16, 32.

    The defaults are those of ChangeFormer V6. Unlike SegFormer, all patch embeddings have 7x7 kernels. H and W are padded to
    multiples of the last stride, which the official code requires.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels per stage.
        depths: Number of blocks per stage.
        heads: Number of attention heads per stage; must divide the channels.
        reductions: Downsampling factor of the keys and values per stage.
        mlp_ratio: Ratio of hidden channels of the MLP to the channels.
        drop: Dropout rate of the outputs of MLP and attention.
        attn_drop: Dropout rate of the attention weights.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.

    Raises:
        ConfigError: The lists differ in length, have values below 1, or an argument is out of range.
    """

    def __init__(
        self,
        in_chans: int = 3,
        channels: Sequence[int] = (64, 128, 320, 512),
        depths: Sequence[int] = (3, 3, 4, 3),
        heads: Sequence[int] = (1, 2, 4, 8),
        reductions: Sequence[int] = (8, 4, 2, 1),
        mlp_ratio: float = 4.0,
        drop: float = 0.1,
        attn_drop: float = 0.1,
        drop_path: float = 0.1,
    ) -> None:
        num_stages = len(channels)
        per_stage = (channels, depths, heads, reductions)
        if not num_stages or any(len(values) != num_stages or min(values) < 1 for values in per_stage):
            raise ConfigError("backbone changeformer: channels, depths, heads, reductions need one value of at least 1 per stage")
        check_stages("changeformer", depths, drop_path)
        for width, num_heads in zip(channels, heads, strict=True):
            if width % num_heads:
                raise ConfigError(f"backbone changeformer: {width} channels are not divisible by {num_heads} heads")
        super().__init__(
            in_chans, channels, [4 * 2**i for i in range(num_stages)], stages=[f"stages.{i}" for i in range(num_stages)]
        )
        self.stages = nn.ModuleList()
        in_channels = in_chans
        for i, (width, rates) in enumerate(zip(channels, drop_path_rates(drop_path, depths), strict=True)):
            blocks = [Block(width, heads[i], reductions[i], mlp_ratio, drop, attn_drop, rate) for rate in rates]
            self.stages.append(Stage(in_channels, width, 2 if i else 4, blocks))
            in_channels = width
        normal_init_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one level (B, C_i, H / s_i, W / s_i) per stage."""
        features = []
        for stage in self.stages:
            x = self.run_stage(stage, x)
            features.append(x)
        return features

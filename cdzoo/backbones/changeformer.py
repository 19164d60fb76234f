"""`changeformer`: the hierarchical transformer encoder of ChangeFormer V6.

Source: W. G. C. Bandara, V. M. Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022, arXiv
2201.01293; after SegFormer (Xie et al., NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers import drop_path as drop_path_layer
from cdzoo.layers import normal_init_
from cdzoo.registry import register_backbone


class OverlapPatchEmbed(nn.Module):
    """Conv7x7 with a stride, then layer norm: (B, C, H, W) -> tokens (B, h * w, C') and their (h, w)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 7, stride=stride, padding=3)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Embed a map."""
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), (x.shape[2], x.shape[3])


class ReducedAttention(nn.Module):
    """Self-attention whose keys and values come from the map shrunk by a strided convolution."""

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
        """Attend over tokens (B, h * w, C) of a map of `size` = (h, w)."""
        batch, tokens, channels = x.shape
        keys = x
        if self.sr is not None:
            keys = self.norm(self.sr(x.transpose(1, 2).reshape(batch, channels, *size)).flatten(2).transpose(1, 2))
        q = self.q(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
        k, v = self.kv(keys).view(batch, keys.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_drop if self.training else 0.0)
        return self.drop(self.proj(y.transpose(1, 2).reshape(batch, tokens, channels)))


class ConvMlp(nn.Module):
    """fc2(GELU(DWConv3x3(fc1(x)))) on tokens, with dropout after GELU and fc2."""

    def __init__(self, channels: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply to tokens (B, h * w, C) of a map of `size` = (h, w)."""
        x = self.fc1(x).transpose(1, 2)
        x = self.dwconv(x.reshape(*x.shape[:2], *size)).flatten(2).transpose(1, 2)
        return self.drop(self.fc2(self.drop(F.gelu(x))))


class Block(nn.Module):
    """x + Attention(LN(x)), then x + ConvMlp(LN(x))."""

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
        """Apply to tokens (B, h * w, C) of a map of `size` = (h, w)."""
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


class Stage(nn.Module):
    """Patch embedding, blocks and a last layer norm: (B, C, H, W) -> (B, C', H / stride, W / stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.patch_embed = OverlapPatchEmbed(in_channels, channels, stride)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Encode one stage."""
        x, size = self.patch_embed(x)
        for block in self.blocks:
            x = block(x, size)
        return self.norm(x).transpose(1, 2).reshape(x.shape[0], -1, *size)


@register_backbone("changeformer")
class ChangeFormerEncoder(Backbone):
    """Four stages of attention with shrunk keys, at strides 4, 8, 16 and 32.

    The defaults are those of ChangeFormer V6. Unlike SegFormer, all patch embeddings have 7x7 kernels. H and W are padded to
    multiples of 32, which the authors' code demands.

    Args:
        in_chans: Bands of the image.
        channels: Channels of each stage.
        depths: Blocks of each stage.
        heads: Attention heads of each stage.
        reductions: By how much each stage shrinks the map that keys and values are taken from.
        mlp_ratio: Hidden width of the MLP as a multiple of the channels.
        drop: Dropout of MLP and attention output.
        attn_drop: Dropout of the attention weights.
        drop_path: Largest stochastic-depth rate; it grows linearly from 0 over the blocks.
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
        stages = len(channels)
        if not stages or any(len(values) != stages or min(values) < 1 for values in (channels, depths, heads, reductions)):
            raise ConfigError("backbone changeformer: give channels, depths, heads and reductions of at least 1, one per stage")
        if bad := [(c, h) for c, h in zip(channels, heads, strict=True) if c % h]:
            raise ConfigError(f"backbone changeformer: {bad[0][0]} channels cannot be split into {bad[0][1]} heads")
        strides = [4 * 2**i for i in range(stages)]
        super().__init__(in_chans, channels, strides)
        rates = [drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths))]
        self.stages = nn.ModuleList()
        taken = in_chans
        for i, given in enumerate(channels):
            blocks = [Block(given, heads[i], reductions[i], mlp_ratio, drop, attn_drop, rates.pop(0)) for _ in range(depths[i])]
            self.stages.append(Stage(taken, given, 2 if i else 4, blocks))
            taken = given
        normal_init_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one (B, C_i, H / s_i, W / s_i) map per stage."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

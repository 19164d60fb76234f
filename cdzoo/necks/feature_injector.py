"""`feature_injector`: details of finer levels for the coarsest one by cross-attention, as in ChangeViT.

Source: D. Zhu et al., "ChangeViT", arXiv 2406.12847.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.registry import register_neck


class CrossAttention(nn.Module):
    """Attention of queries (B, N, C) to context tokens (B, M, context): (B, N, C).

    Args:
        channels: Number of channels C of the queries.
        context: Number of channels of the context.
        heads: Number of heads.
    """

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(context, 2 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the projected attention output."""
        query, key, value = (
            tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, tokens, C / heads)
            for tokens in (self.q(x), *self.kv(context).chunk(2, dim=-1))
        )
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class InjectorBlock(nn.Module):
    """Residual cross-attention of tokens to those of another level, and a residual MLP with ReLU: (B, N, C) -> (B, N, C).

    Args:
        channels: Number of channels C.
        context: Number of channels of the other level.
        heads: Number of heads.
    """

    def __init__(self, channels: int, context: int, heads: int) -> None:
        from timm.layers import Mlp  # imported here because timm takes seconds to import

        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(context)
        self.attn = CrossAttention(channels, context, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, 4 * channels, act_layer=nn.ReLU)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the tokens with details of the context (B, M, context)."""
        x = x + self.attn(self.norm1(x), self.norm2(context))
        return x + self.mlp(self.norm3(x))


@register_neck("feature_injector")
class FeatureInjector(Neck):
    """The coarsest level attends to each finer one; the results are concatenated and projected to its channels by Conv1x1.

    The other levels are returned as they are. Memory grows with the product of the pixels of the coarsest and of the finest
    level.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level.
        heads: Number of attention heads; a single one is used if it does not divide the channels of the coarsest level.

    Raises:
        ConfigError: There is only one level, or `heads` is below 1.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, heads: int = 8) -> None:
        *finer, channels = in_channels
        if not finer or heads < 1:
            raise ConfigError(f"neck feature_injector needs at least two levels and one head, got {len(in_channels)}, {heads}")
        super().__init__(in_channels, in_strides)
        heads = heads if channels % heads == 0 else 1
        self.blocks = nn.ModuleList(InjectorBlock(channels, context, heads) for context in finer)
        self.fuse = nn.Conv2d(len(finer) * channels, channels, 1, bias=False)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Inject details into the coarsest level of the pyramid of one date; the output has the same shapes."""
        *finer, coarse = features
        tokens = coarse.flatten(2).transpose(1, 2)
        injected = [block(tokens, level.flatten(2).transpose(1, 2)) for block, level in zip(self.blocks, finer, strict=True)]
        maps = torch.cat(injected, dim=-1).transpose(1, 2).reshape(coarse.shape[0], -1, *coarse.shape[-2:])
        return [*finer, self.fuse(maps)]

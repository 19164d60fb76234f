"""`mix_ffn`: residual MLP with a depthwise convolution, the projection of Changer."""

from __future__ import annotations

from torch import Tensor

from cdzoo.components import LevelDecoder
from cdzoo.errors import ConfigError
from cdzoo.registry import register_decoder


@register_decoder("mix_ffn")
class MixFFN(LevelDecoder):
    """x + Conv1x1(GELU(DWConv3x3(Conv1x1(x)))), the feed-forward network of SegFormer.

    Source: E. Xie et al., "SegFormer", NeurIPS 2021; S. Fang, K. Li, Z. Li, "Changer", IEEE TGRS 61 (2023), arXiv 2209.08290.

    Args:
        channels: Number of channels C of the level.
        mlp_ratio: Ratio of hidden channels to C.

    Raises:
        ConfigError: `mlp_ratio` leaves no hidden channel.
    """

    def __init__(self, channels: int, mlp_ratio: float = 1.0) -> None:
        from timm.models.pvt_v2 import MlpWithDepthwiseConv  # imported here because timm takes seconds to import

        super().__init__(channels)
        hidden = int(mlp_ratio * channels)
        if hidden < 1:
            raise ConfigError(f"decoder mix_ffn: mlp_ratio must leave at least one of {channels} channels, got {mlp_ratio}")
        self.mlp = MlpWithDepthwiseConv(channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Refine a map (B, C, h, w); the output has the same shape."""
        size = x.shape[-2:]
        y = self.mlp(x.flatten(2).transpose(1, 2), size).transpose(1, 2)
        return x + y.reshape(x.shape)  # `unflatten` would fix the size of an exported program

"""`changeformer`: hierarchical transformer backbone of ChangeFormer V6.

Source: W. G. C. Bandara, V. M. Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022, arXiv
2201.01293; based on SegFormer (`cdzoo.backbones.mit`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cdzoo.backbones.mit import MiT
from cdzoo.layers import normal_init_
from cdzoo.registry import register_backbone


@register_backbone("changeformer")
class ChangeFormerEncoder(MiT):
    """Stages of transformer blocks with spatially reduced keys and values, at strides 4, 8, 16, 32.

    The defaults are those of ChangeFormer V6. Unlike in SegFormer, all patch embeddings have 7x7 kernels. H and W are padded to
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

    name = "changeformer"

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
        patch_sizes = [7] * len(channels)
        super().__init__(in_chans, channels, depths, heads, reductions, patch_sizes, mlp_ratio, drop, attn_drop, drop_path)
        self.pad_multiple = max(self.out_strides)
        for name, layer in self.named_modules():
            if name.endswith(("patch_embed.norm", "attn.norm")):
                layer.eps = 1e-5  # as in the official code; the norms of blocks and stages have 1e-6
        normal_init_(self)

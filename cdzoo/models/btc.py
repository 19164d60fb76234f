"""BTC ("Be the Change"): Swin Transformer, signed differences, and UPerNet.

Source: B. Rolih, M. Fučka, F. Wolf, L. Čehovin Zajc, "Be the Change You Want to See: Revisiting Remote Sensing Change Detection
Practices", IEEE TGRS 63 (2025), arXiv 2507.03367. The encoder of the authors starts from weights for the segmentation of
Cityscapes (Mask2Former); here it starts from random ones. Both dates are encoded as one batch.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Rolih et al., Be the Change You Want to See, IEEE TGRS 63 (2025), arXiv 2507.03367"
ORIGINAL = "blaz-r/BTC-change-detection (MIT)"
CITATION = """@article{rolih2025btc,
  title={Be the Change You Want to See: Revisiting Remote Sensing Change Detection Practices},
  author={Rolih, Bla{\\v{z}} and Fu{\\v{c}}ka, Matic and Wolf, Filip and {\\v{C}}ehovin Zajc, Luka},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={63},
  year={2025}
}"""


def _btc(size: str, encoder: dict[str, Any], changes: dict[str, Any]) -> ModelCfg:
    config = ModelCfg(
        name=f"btc_{size[0]}",
        backbone=ComponentCfg("swin", encoder),
        fusion=ComponentCfg("diff", {"reverse": True}),
        decoder=ComponentCfg("upernet", {"channels": 512}),
        head=ComponentCfg("conv", {"kernel_size": 1}),
        description=f"BTC: differences of Swin Transformer, {size}, and UPerNet",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="btc",
    )
    return replace(config, **changes)


@register_model
def btc_t(**changes: Any) -> ModelCfg:
    """BTC on Swin-T with windows of 7."""
    return _btc("tiny", {"channels": 96, "depths": [2, 2, 6, 2], "heads": [3, 6, 12, 24], "window": 7}, changes)


@register_model
def btc_b(**changes: Any) -> ModelCfg:
    """BTC on Swin-B with windows of 12."""
    return _btc("base", {"channels": 128, "depths": [2, 2, 18, 2], "heads": [4, 8, 16, 32], "window": 12}, changes)


_ENCODER = "enc.backbone."
_BLOCK = (
    ("norm1.", "layernorm_before."),
    ("norm2.", "layernorm_after."),
    ("attn.relative_position_bias_table", "attention.self.relative_position_bias_table"),
    ("attn.qkv.", "attention.self."),
    ("attn.proj.", "attention.output.dense."),
    ("mlp.fc1.", "intermediate.dense."),
    ("mlp.fc2.", "output.dense."),
)
_RULES = (
    ("backbone.patch_embed.proj.", f"{_ENCODER}embeddings.patch_embeddings.projection."),
    ("backbone.patch_embed.norm.", f"{_ENCODER}embeddings.norm."),
    ("head.classify.", "dec.classifier."),
)
_DECODER = (
    ("decoder.pool.projections.", "dec.psp_modules."),
    ("decoder.pool.join.", "dec.bottleneck."),
    ("decoder.laterals.", "dec.lateral_convs."),
    ("decoder.smooth.", "dec.fpn_convs."),
    ("decoder.fuse.", "dec.fpn_bottleneck."),
)
_CONV_NORM = {"0": "conv", "1": "batch_norm"}


def _official_key(key: str) -> str:
    """Official stages end with their downsampling, ours begin with it; norms of stages are counted from 1."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.blocks\.(\d+)\.(.+)", key):
        return f"{_ENCODER}encoder.layers.{match[1]}.blocks.{match[2]}.{substitute(match[3], _BLOCK)}"
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.downsample\.(.+)", key):
        return f"{_ENCODER}encoder.layers.{int(match[1]) - 1}.downsample.{match[2]}"
    if match := re.fullmatch(r"backbone\.norms\.(\d)\.(.+)", key):
        return f"{_ENCODER}hidden_states_norms.stage{int(match[1]) + 1}.{match[2]}"
    if match := re.fullmatch(r"(decoder\..+\.)([01])\.(\w+)", key):
        prefix = substitute(match[1], _DECODER)
        # The pooling modules of the official code are pairs of a mean and a convolution.
        inner = "1." if prefix.startswith("dec.psp_modules.") else ""
        return f"{prefix}{inner}{_CONV_NORM[match[2]]}.{match[3]}"
    return substitute(key, _RULES)


register_key_map(
    KeyMap(("btc*",), _official_key, "blaz-r/BTC-change-detection", ignored=("*.attention.self.relative_position_index",))
)

"""BIT: the bitemporal image transformer.

Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), doi
10.1109/TGRS.2021.3095166, arXiv 2103.00208. Of the 11.9 M parameters 3.0 M are used, see `bit_resnet18`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Chen et al., Remote Sensing Image Change Detection with Transformers, IEEE TGRS 60 (2022), doi 10.1109/TGRS.2021.3095166"
ORIGINAL = "justchenhao/BIT_CD (non-commercial and research use only)"
CITATION = """@article{chen2022remote,
  title={Remote Sensing Image Change Detection With Transformers},
  author={Chen, Hao and Qi, Zipeng and Shi, Zhenwei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={60},
  pages={1--14},
  year={2022}
}"""
_BIT = ModelCfg(
    name="bit",
    backbone=ComponentCfg("bit_resnet18"),
    neck=ComponentCfg("upsample", {"channels": 32}),
    fusion=ComponentCfg("bit", {"tokens": 4, "depth": 1, "heads": 8, "head_channels": 64}),
    head=ComponentCfg("fcn"),
    num_classes=2,
    mean=(0.5,),
    std=(0.5,),
    paper=PAPER,
    original=ORIGINAL,
    citation=CITATION,
    recipe="bit",
)


def _bit(name: str, depth: int, head_channels: int, changes: dict[str, Any]) -> ModelCfg:
    kwargs = {**_BIT.fusion.kwargs, "decoder_depth": depth, "decoder_head_channels": head_channels}
    return replace(_BIT, name=name, fusion=ComponentCfg("bit", kwargs), **changes)


@register_model
def bit_s4(**changes: Any) -> ModelCfg:
    """BIT with one decoder layer of 64 channels per head."""
    return _bit("bit_s4", 1, 64, {"description": "BIT with one decoder layer", **changes})


@register_model
def bit_s4_dd8(**changes: Any) -> ModelCfg:
    """BIT with eight decoder layers of 64 channels per head, as in the authors' training script."""
    return _bit("bit_s4_dd8", 8, 64, {"description": "BIT with eight decoder layers", **changes})


@register_model(aliases=["bit"])
def bit_s4_dd8_dedim8(**changes: Any) -> ModelCfg:
    """BIT with eight decoder layers of 8 channels per head, as in the released weights."""
    return _bit("bit_s4_dd8_dedim8", 8, 8, {"description": "BIT as released: eight decoder layers of 8 channels", **changes})


for _dataset in ("levir", "whu", "dsifn"):
    alias_dataset("bit", _dataset, "bit_s4_dd8_dedim8", "BIT")


_STACKS = {"encoder": "transformer", "decoder": "transformer_decoder"}
_LAYER = {
    "norm1.": "0.fn.norm.",
    "attn.qkv.": "0.fn.fn.to_qkv.",
    "attn.q.": "0.fn.fn.to_q.",
    "attn.k.": "0.fn.fn.to_k.",
    "attn.v.": "0.fn.fn.to_v.",
    "attn.out.": "0.fn.fn.to_out.0.",
    "norm2.": "1.fn.norm.",
    "mlp.0.": "1.fn.fn.net.0.",
    "mlp.2.": "1.fn.fn.net.3.",
}
_RULES = (
    ("backbone.resnet.", "resnet."),
    ("neck.levels.0.", "conv_pred."),
    ("fusion.levels.0.tokenize.", "conv_a."),
    ("fusion.levels.0.position", "pos_embedding"),
    ("head.smooth.", "classifier."),
    ("head.classify.", "classifier.3."),
)


def _official_key(key: str) -> str:
    if match := re.fullmatch(r"fusion\.levels\.0\.(encoder|decoder)\.(\d+)\.(.+)", key):
        stack, index, rest = match.groups()
        return f"{_STACKS[stack]}.layers.{index}.{substitute(rest, tuple(_LAYER.items()))}"
    return substitute(key, _RULES)


register_key_map(KeyMap(("bit*",), _official_key, "justchenhao/BIT_CD"))

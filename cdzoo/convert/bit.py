"""Parameter names of BIT."""

from __future__ import annotations

import re

from cdzoo.convert.family import Family, register_family, substitute

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


register_family(Family(("bit*",), _official_key, "justchenhao/BIT_CD"))

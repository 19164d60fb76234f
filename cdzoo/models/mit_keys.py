"""Parameter names of MiT in mmsegmentation and open-cd."""

from __future__ import annotations

import re

from cdzoo.weights.keys import KeyMap, substitute

_BLOCK = (
    ("attn.q.", "attn.attn.in_proj_"),
    ("attn.kv.", "attn.attn.in_proj_"),
    ("attn.proj.", "attn.attn.out_proj."),
    ("mlp.fc1.", "ffn.layers.0."),
    ("mlp.dwconv.", "ffn.layers.1."),
    ("mlp.fc2.", "ffn.layers.4."),
)
_STAGE = (("patch_embed.proj.", "0.projection."), ("patch_embed.norm.", "0.norm."), ("norm.", "2."))
JOINED = ("*.attn.attn.in_proj_*",)
POINTWISE = ("*.ffn.layers.[04].weight",)
"""Official tensors that pack query, key and value, and linear layers that are 1x1 convolutions."""


def mit_key(key: str) -> str:
    """Return the official name of a parameter of a `mit` backbone."""
    match = re.fullmatch(r"stages\.(\d)\.(?:blocks\.(\d+)\.)?(.+)", key)
    assert match is not None
    stage, block, rest = match.groups()
    return f"layers.{stage}." + (substitute(rest, _STAGE) if block is None else f"1.{block}.{substitute(rest, _BLOCK)}")


MIT = KeyMap((), mit_key, "open-mmlab/mmsegmentation", ("head.*", "classifier.*"), joined=JOINED, pointwise=POINTWISE)

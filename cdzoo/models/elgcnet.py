"""ELGC-Net: efficient local-global context aggregation.

Source: M. Noman, M. Fiaz, H. Cholakkal, S. Khan, F. S. Khan, "ELGC-Net: Efficient Local-Global Context Aggregation for Remote
Sensing Change Detection", IEEE TGRS 62 (2024), arXiv 2403.17909. The last part of the decoder is that of ChangeFormer. Height and
width must be multiples of 64.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.changeformer import head_rules
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Noman et al., ELGC-Net, IEEE TGRS 62 (2024), arXiv 2403.17909"
ORIGINAL = "techmn/elgcnet (Apache-2.0)"
CITATION = """@article{noman2024elgcnet,
  title={ELGC-Net: Efficient Local-Global Context Aggregation for Remote Sensing Change Detection},
  author={Noman, Mubashir and Fiaz, Mustansar and Cholakkal, Hisham and Khan, Salman and Khan, Fahad Shahbaz},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={62},
  year={2024}
}"""


@register_model
def elgcnet(**changes: Any) -> ModelCfg:
    """ELGC-Net as released."""
    config = ModelCfg(
        name="elgcnet",
        backbone=ComponentCfg("elgcnet"),
        neck=ComponentCfg("linear", {"channels": 256}),
        fusion=ComponentCfg("concat_gelu"),
        head=ComponentCfg("changeformer", {"supervised": False}),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description="ELGC-Net: local and global context aggregation, for images of multiples of 64",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="elgcnet",
    )
    return replace(config, **changes)


_BLOCK = (("norm1.", "layer_norm1."), ("norm2.", "layer_norm2."))
_RULES = head_rules("dec.")


def _official_key(key: str) -> str:
    """Official levels are counted from 1."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.embed\.(.+)", key):
        return f"enc.patch_embed{int(match[1]) + 1}.proj.{match[2]}"
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.blocks\.(\d+)\.(.+)", key):
        return f"enc.block{int(match[1]) + 1}.{match[2]}.{substitute(match[3], _BLOCK)}"
    if match := re.fullmatch(r"neck\.levels\.(\d)\.(.+)", key):
        return f"dec.linear_c{int(match[1]) + 1}.proj.{match[2]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.(.+)", key):
        return f"dec.diff_c{int(match[1]) + 1}.proj.{match[2]}"
    return substitute(key, _RULES)


register_key_map(KeyMap(("elgcnet*",), _official_key, "techmn/elgcnet", pointwise=("dec.linear_c*.proj.weight",)))

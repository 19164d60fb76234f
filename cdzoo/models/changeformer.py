"""ChangeFormer V6.

Source: W. G. C. Bandara, V. M. Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022, doi
10.1109/IGARSS46834.2022.9883686, arXiv 2201.01293. The encoder has the sizes of the authors' code, which differ from the
paper's text (depths 3, 3, 4, 3). Both dates are encoded as one batch.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Bandara and Patel, A Transformer-Based Siamese Network for Change Detection, IGARSS 2022, arXiv 2201.01293"
ORIGINAL = "wgcban/ChangeFormer (license file: MIT; README: non-commercial and research use only)"
CITATION = """@inproceedings{bandara2022transformer,
  title={A Transformer-Based Siamese Network for Change Detection},
  author={Bandara, Wele Gedara Chaminda and Patel, Vishal M.},
  booktitle={IEEE International Geoscience and Remote Sensing Symposium (IGARSS)},
  pages={207--210},
  year={2022}
}"""


@register_model(aliases=["changeformer"])
def changeformer_v6(**changes: Any) -> ModelCfg:
    """ChangeFormer V6, the released network."""
    config = ModelCfg(
        name="changeformer_v6",
        backbone=ComponentCfg("changeformer"),
        neck=ComponentCfg("linear", {"channels": 256}),
        fusion=ComponentCfg("changeformer"),
        head=ComponentCfg("changeformer"),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description="ChangeFormer V6: Siamese transformer encoder, learned differences",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="changeformer",
    )
    return replace(config, **changes)


for _dataset in ("levir", "dsifn"):
    alias_dataset("changeformer", _dataset, "changeformer_v6", "ChangeFormer V6")


def head_rules(decoder: str) -> tuple[tuple[str, str], ...]:
    """Return the prefixes of the parameters of the head `changeformer` and their official ones, below those of the decoder."""
    return (
        ("head.join.", f"{decoder}linear_fuse."),
        ("head.enlarge.0.up.", f"{decoder}convd2x.conv2d."),
        ("head.enlarge.0.conv1.", f"{decoder}dense_2x.0.conv1.conv2d."),
        ("head.enlarge.0.conv2.", f"{decoder}dense_2x.0.conv2.conv2d."),
        ("head.enlarge.1.up.", f"{decoder}convd1x.conv2d."),
        ("head.enlarge.1.conv1.", f"{decoder}dense_1x.0.conv1.conv2d."),
        ("head.enlarge.1.conv2.", f"{decoder}dense_1x.0.conv2.conv2d."),
        ("head.classify.", f"{decoder}change_probability.conv2d."),
    )


_RULES = head_rules("TDec_x2.")


def _official_key(key: str) -> str:
    """Official levels are counted from 1, and the depthwise convolution is in a submodule."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.(patch_embed|norm)\.(.+)", key):
        return f"Tenc_x2.{match[2]}{int(match[1]) + 1}.{match[3]}"
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.blocks\.(.+)", key):
        return f"Tenc_x2.block{int(match[1]) + 1}.{match[2]}".replace(".dwconv.", ".dwconv.dwconv.")
    for ours, official in (
        (r"neck\.levels\.(\d)\.", "TDec_x2.linear_c{}.proj."),
        (r"fusion\.levels\.(\d)\.", "TDec_x2.diff_c{}."),
        (r"head\.sides\.(\d)\.", "TDec_x2.make_pred_c{}."),
    ):
        if match := re.match(ours, key):
            return official.format(int(match[1]) + 1) + key[match.end() :]
    return substitute(key, _RULES)


register_key_map(KeyMap(("changeformer*",), _official_key, "wgcban/ChangeFormer"))

"""DMINet: dual-branch multilevel intertemporal network.

Source: Y. Feng, J. Jiang, H. Xu, J. Zheng, "Change Detection on Remote Sensing Images Using Dual-Branch Multilevel Intertemporal
Network", IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3241257. The official code reinitializes the encoder after loading ImageNet
weights; its classifier, which it does not use, is left out.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map

PAPER = "Feng et al., DMINet, IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3241257"
ORIGINAL = "ZhengJianwei2/DMINet (no license stated)"
CITATION = """@article{feng2023change,
  title={Change Detection on Remote Sensing Images Using Dual-Branch Multilevel Intertemporal Network},
  author={Feng, Yuchao and Jiang, Jiawei and Xu, Honghui and Zheng, Jianwei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={61},
  pages={1--15},
  year={2023}
}"""


@register_model
def dminet(**changes: Any) -> ModelCfg:
    """DMINet: ResNet-18 up to its third stage, joint attention, one decoder for both dates and one for their difference."""
    config = ModelCfg(
        name="dminet",
        backbone=ComponentCfg("timm/resnet18", {"out_indices": [1, 2, 3]}),
        fusion=ComponentCfg("joint_attention"),
        decoder=ComponentCfg("decode_cells", {"paths": 2}),
        head=ComponentCfg("path_sum", {"paths": 2}),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description="DMINet: joint attention of both dates, decoders for their sum and difference",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="dminet",
    )
    return replace(config, **changes)


_ATTENTION = {"queries": "query", "keys": "key", "values": "value"}
_CELL = {"fine": "conv_l", "coarse": "conv_d1", "merge.0": "conv3", "merge.1": "bn3"}
_CONV_NORM = {"0": "conv", "1": "bn"}
_CLASSIFIER = {"0.0": "0.conv", "0.1": "0.bn", "1": "1.conv"}
_HEADS = (("final", "final2"), ("final_2", "final2_2"))


def _official_key(key: str) -> str:
    """Official levels are called 4, 3, 2 from fine to coarse, and paths 1, 2."""
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.(queries|keys|values)\.(\d)\.(\w+)", key):
        return f"cross{4 - int(match[1])}.{_ATTENTION[match[2]]}{int(match[3]) + 1}.{match[4]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.(.+)", key):
        return f"cross{4 - int(match[1])}.{match[2].replace('join', 'conv_cat')}"
    if match := re.fullmatch(r"decoder\.paths\.(\d)\.projections\.(\d)\.(\d)\.(\w+)", key):
        path, level, layer, kind = match.groups()
        return f"Translayer{3 - int(level)}_{int(path) + 1}.{_CONV_NORM[layer]}.{kind}"
    if match := re.fullmatch(r"decoder\.paths\.(\d)\.cells\.(\d)\.(.+)\.(\w+)", key):
        path, level, layer, kind = match.groups()
        return f"fam{4 - int(level)}{3 - int(level)}_{int(path) + 1}.{_CELL[layer]}.{kind}"
    if match := re.fullmatch(r"head\.levels\.(\d)\.(\d)\.(.+)\.(\w+)", key):
        level, path, layer, kind = match.groups()
        return f"{_HEADS[int(level)][int(path)]}.{_CLASSIFIER[layer]}.{kind}"
    return key.replace("backbone.model.", "resnet.")


register_key_map(KeyMap(("dminet",), _official_key, "ZhengJianwei2/DMINet", ignored=("resnet.fc.*",)))

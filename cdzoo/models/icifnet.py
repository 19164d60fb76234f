"""ICIF-Net: intra-scale cross-interaction and inter-scale feature fusion.

Source: Y. Feng, H. Xu, J. Jiang, H. Liu, J. Zheng, "ICIF-Net: Intra-Scale Cross-Interaction and Inter-Scale Feature
Fusion Network for Bitemporal Remote Sensing Images Change Detection", IEEE TGRS 60 (2022), doi 10.1109/TGRS.2022.3168331. The
official code reinitializes the encoders after loading ImageNet weights; 9.8 M parameters that it does not use are left out.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Feng et al., ICIF-Net, IEEE TGRS 60 (2022), doi 10.1109/TGRS.2022.3168331"
ORIGINAL = "ZhengJianwei2/ICIF-Net (no license stated)"
CITATION = """@article{feng2022icif,
  title={ICIF-Net: Intra-Scale Cross-Interaction and Inter-Scale Feature Fusion Network for Bitemporal Remote Sensing Images
    Change Detection},
  author={Feng, Yuchao and Xu, Honghui and Jiang, Jiawei and Liu, Hao and Zheng, Jianwei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={60},
  pages={1--13},
  year={2022}
}"""


@register_model
def icifnet(**changes: Any) -> ModelCfg:
    """ICIF-Net: ResNet-18 and PVT v2 B1, attention between their features, three decoders for each date."""
    config = ModelCfg(
        name="icifnet",
        backbone=ComponentCfg("dual", {"encoders": ["resnet18", "pvt_v2_b1"], "levels": 3}),
        fusion=ComponentCfg("icifnet", {"conv_channels": [64, 128, 256]}),
        head=ComponentCfg("path_sum", {"paths": 3, "channels": 64, "path_weights": [1.0, 1.0, 0.5]}),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description="ICIF-Net: attention between convolutional and transformer features of each date",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="icifnet",
    )
    return replace(config, **changes)


_INTERACTION = (
    ("conv.0.frequencies", "Ype.penc.inv_freq"),
    ("conv.1.", "Yconv.0."),
    ("conv.2.", "Yconv.1."),
    ("transformer.0.frequencies", "Spe.penc.inv_freq"),
    ("transformer.1.", "Sconv.0."),
    ("transformer.2.", "Sconv.1."),
    ("attention.positions.", "factoratt_crpe.crpe.conv_list."),
    ("attention.out.", "factoratt_crpe.proj."),
    ("join.shortcut.", "residual.skip_layer.conv."),
    *((f"join.convs.{i}.0.", f"residual.bn{i + 1}.") for i in range(3)),
    *((f"join.convs.{i}.2.", f"residual.conv{i + 1}.conv.") for i in range(3)),
)
_MERGE = (
    ("gate_coarse.", "attn_block.W_g."),
    ("gate_fine.", "attn_block.W_x."),
    ("gate.", "attn_block.psi."),
    ("convs.0.", "conv.double_conv."),
    ("convs.1.", "conv.double_conv.3."),
    ("convs.2.", "conv.double_conv.4."),
    ("shortcut.", "conv.identity."),
)
_CELL = {"fine": "conv_l", "coarse": "conv_d1", "merge.0": "conv3", "merge.1": "bn3"}
_CONV_NORM = {"0": "conv", "1": "bn"}
_CLASSIFIER = {"0.0": "0.conv", "0.1": "0.bn", "1": "1.conv"}
_PVT = {"downsample.proj": "patch_embed{}.proj", "downsample.norm": "patch_embed{}.norm", "norm": "norm{}"}
_DATES, _ATTENTION, _HEADS = ("", "_img2"), "gl", ("2", "1", "x")


def _official_key(key: str) -> str:
    """Official levels of the interaction are called 4, 3, 2 from fine to coarse; modules of the second date end in `_img2`."""
    if match := re.fullmatch(r"fusion\.dates\.(\d)\.(\w+)\.(\w+)\.(.+)", key):
        date, part, index, rest = match.groups()
        suffix = _DATES[int(date)]
        if part == "levels":
            return f"cross{4 - int(index)}{suffix}.{substitute(rest, _INTERACTION)}"
        if part == "joined":
            level, rest = rest.split(".", 1)
            return f"up{3 - int(level)}{suffix}.{substitute(rest, _MERGE)}"
        return _cell_key(int(index), rest, suffix)
    if match := re.fullmatch(r"head\.levels\.0\.(\d)\.(.+)\.(\w+)", key):
        return f"final_{_HEADS[int(match[1])]}.{_CLASSIFIER[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"backbone\.encoders\.1\.model\.(.+)", key):
        return f"backbone.{_pvt_key(match[1])}"
    return key.replace("backbone.encoders.0.model.", "resnet.")


def _cell_key(path: int, key: str, suffix: str) -> str:
    match = re.fullmatch(r"(projections|cells)\.(\d)\.(.+)\.(\w+)", key)
    assert match is not None
    part, level, layer, kind = match[1], int(match[2]), match[3], match[4]
    if part == "projections":
        return f"Translayer{3 - level}_{_ATTENTION[path]}{suffix}.{_CONV_NORM[layer]}.{kind}"
    return f"fam{('32', '43')[level]}_{path + 1}{suffix}.{_CELL[layer]}.{kind}"


def _pvt_key(key: str) -> str:
    key = key.replace(".dwconv.", ".dwconv.dwconv.")
    if match := re.fullmatch(r"stages_(\d)\.blocks\.(.+)", key):
        return f"block{int(match[1]) + 1}.{match[2]}"
    if match := re.fullmatch(r"stages_(\d)\.(.+)\.(\w+)", key):
        return f"{_PVT[match[2]].format(int(match[1]) + 1)}.{match[3]}"
    return key.replace("patch_embed.", "patch_embed1.")


_UNUSED = ("resnet.fc.*", "backbone.patch_embed4.*", "backbone.block4.*", "backbone.norm4.*")
_UNUSED_ATTENTION = ("cross?*.query.*", "cross?*.key.*", "cross?*.value.*", "cross?*.factoratt_crpe.qkv.*")
register_key_map(KeyMap(("icifnet",), _official_key, "ZhengJianwei2/ICIF-Net", ignored=_UNUSED + _UNUSED_ATTENTION))

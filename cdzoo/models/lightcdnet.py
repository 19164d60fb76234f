"""LightCDNet: early fusion, stages of ShuffleNet V2 and a feature pyramid network, in three sizes.

Source: Y. Xing, J. Jiang, J. Xiang, E. Yan, Y. Song, D. Mo, "LightCDNet: Lightweight Change Detection Network Based on VHR
Images", IEEE GRSL 20 (2023), doi 10.1109/LGRS.2023.3304309. The dates meet at stride 2, after a stem that they share.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = (
    "Xing et al., LightCDNet: Lightweight Change Detection Network Based on VHR Images, IEEE GRSL 20 (2023), doi "
    "10.1109/LGRS.2023.3304309"
)
ORIGINAL = "NightSongs/LightCDNet (no license file seen; also in likyoo/open-cd, Apache-2.0)"
CITATION = """@article{xing2023lightcdnet,
  title={LightCDNet: Lightweight Change Detection Network Based on VHR Images},
  author={Xing, Yuanjun and Jiang, Jiawei and Xiang, Jun and Yan, Enping and Song, Yabin and Mo, Dengkui},
  journal={IEEE Geoscience and Remote Sensing Letters},
  volume={20},
  pages={1--5},
  year={2023}
}"""


def _lightcdnet(name: str, stem_depth: int, widths: list[int], changes: dict[str, Any]) -> ModelCfg:
    config = ModelCfg(
        name=name,
        backbone=ComponentCfg("lightcdnet", {"depth": stem_depth}),
        fusion=ComponentCfg("time_attention"),
        decoder=ComponentCfg("shuffle_stages", {"widths": widths}),
        head=ComponentCfg("fpn"),
        num_classes=2,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="lightcdnet",
    )
    return replace(config, **changes)


@register_model
def lightcdnet_s(**changes: Any) -> ModelCfg:
    """LightCDNet small."""
    return _lightcdnet("lightcdnet_s", 4, [48, 96, 192], {"description": "LightCDNet small: 0.35 M parameters", **changes})


@register_model
def lightcdnet_b(**changes: Any) -> ModelCfg:
    """LightCDNet base."""
    return _lightcdnet("lightcdnet_b", 8, [116, 232, 464], {"description": "LightCDNet base: 1.3 M parameters", **changes})


@register_model
def lightcdnet_l(**changes: Any) -> ModelCfg:
    """LightCDNet large."""
    return _lightcdnet("lightcdnet_l", 16, [176, 352, 704], {"description": "LightCDNet large: 2.8 M parameters", **changes})


alias_dataset("lightcdnet", "levir", "lightcdnet_b", "LightCDNet base")


_ATTENTION = {"query": "query_conv", "key": "key_conv", "value": "value_conv"}
_CONV_BN = {"0": "conv", "1": "bn"}
_RULES = (
    ("backbone.conv.", "backbone.conv1.0."),
    ("backbone.norm.", "backbone.conv1.1."),
    ("backbone.units.", "backbone.fusion_conv.stages."),
    ("backbone.project.", "backbone.fusion_conv.single_conv."),
    ("fusion.levels.0.mlp.0.", "backbone.fusion_conv.time_attn.mlp."),
    ("fusion.levels.0.mlp.1.", "backbone.fusion_conv.time_attn.mlp.3."),
    ("fusion.levels.0.fuse.", "backbone.fusion_conv.final_conv."),
    ("decoder.", "backbone."),
    ("head.classify.", "decode_head.conv_seg."),
    ("head.classify_side.", "auxiliary_head.conv_seg."),
)


def _official_key(key: str) -> str:
    if match := re.fullmatch(r"decoder\.stages\.(\d+)\.(query|key|value)\.(\w+)", key):
        return f"backbone.stages.{match[1]}.cca.{_ATTENTION[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"decoder\.stages\.(\d+)\.gamma", key):
        return f"backbone.stages.{match[1]}.cca.gamma.scale"
    if match := re.fullmatch(r"head\.fpn\.(laterals|smooth)\.(\d)\.(\w+)", key):
        return f"neck.{'lateral' if match[1] == 'laterals' else 'fpn'}_convs.{match[2]}.conv.{match[3]}"
    if match := re.fullmatch(r"head\.scales\.(\d)\.([01])\.(\w+)", key):
        return f"decode_head.scale_heads.{match[1]}.0.{_CONV_BN[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"head\.side\.([01])\.(\w+)", key):
        return f"auxiliary_head.convs.0.{_CONV_BN[match[1]]}.{match[2]}"
    return substitute(key, _RULES)


register_key_map(KeyMap(("lightcdnet*",), _official_key, "NightSongs/LightCDNet"))

"""STANet: spatial-temporal attention network.

Source: H. Chen, Z. Shi, "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change Detection",
Remote Sensing 12 (2020), doi 10.3390/rs12101662. The output is the logarithm of a distance, see the head `distance`. Official
checkpoints are two files, `net_F` of the feature extractor and `net_A` of the attention: convert a file that contains the keys of
both. `stanet_base` needs the first one only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = (
    "Chen and Shi, A Spatial-Temporal Attention-Based Method and a New Dataset, Remote Sensing 12 (2020), doi 10.3390/rs12101662"
)
ORIGINAL = "justchenhao/STANet (BSD-2-Clause)"
CITATION = """@article{chen2020spatial,
  title={A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change Detection},
  author={Chen, Hao and Shi, Zhenwei},
  journal={Remote Sensing},
  volume={12},
  number={10},
  pages={1662},
  year={2020}
}"""
_STANET = ModelCfg(
    name="stanet",
    backbone=ComponentCfg("stanet_resnet18"),
    neck=ComponentCfg("stanet"),
    fusion=ComponentCfg("diff"),
    head=ComponentCfg("distance"),
    mean=(0.5,),
    std=(0.5,),
    paper=PAPER,
    original=ORIGINAL,
    citation=CITATION,
    recipe="stanet",
)


@register_model
def stanet_base(**changes: Any) -> ModelCfg:
    """STANet without attention: distance of the features of the two dates."""
    return replace(_STANET, name="stanet_base", **{"description": "STANet without attention", **changes})


@register_model
def stanet_bam(**changes: Any) -> ModelCfg:
    """STANet with the basic attention module, over all positions of both dates."""
    description = "STANet with attention over all positions of both dates"
    return replace(_STANET, name="stanet_bam", fusion=ComponentCfg("bam"), **{"description": description, **changes})


@register_model(aliases=["stanet"])
def stanet_pam(**changes: Any) -> ModelCfg:
    """STANet with the pyramid attention module, in parts of four sizes."""
    description = "STANet with attention over the positions of both dates in parts of four sizes"
    return replace(_STANET, name="stanet_pam", fusion=ComponentCfg("pam"), **{"description": description, **changes})


_CONV = {"0": "conv1", "1": "bn1"}
_PROJECTIONS = ("query", "key", "value")
_RULES = (
    ("backbone.model.", "netF.module.backbone."),
    ("neck.merge.0.", "netF.module.decoder.last_conv."),
    ("neck.merge.2.0.", "netF.module.decoder.last_conv.4."),
    ("neck.merge.2.1.", "netF.module.decoder.last_conv.5."),
    *((f"fusion.levels.0.attention.{name}.", f"netA.Self_Att.{name}_conv.") for name in _PROJECTIONS),
    ("fusion.levels.0.join.", "netA.Self_Att.conv_bn.0."),
)


def _official_key(key: str) -> str:
    """Official levels of the neck are counted from 2."""
    if match := re.fullmatch(r"neck\.levels\.(\d)\.([01])\.(.+)", key):
        return f"netF.module.decoder.dr{int(match[1]) + 2}.{_CONV[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"fusion\.levels\.0\.attentions\.(\d)\.(.+)", key):
        return f"netA.Self_Att.stages.{match[1]}.f_{match[2]}"
    return substitute(key, _RULES)


def _with_network(key: str) -> str:
    """Put the network in front of a key of one of the two official files, which lack it."""
    if key.startswith("Self_Att."):
        return f"netA.{key}"
    bare = key.removeprefix("module.")  # which is missing if all keys of a file had it
    return f"netF.module.{bare}" if bare.startswith(("backbone.", "decoder.")) else key


# The official BAM has a factor that it does not use.
_IGNORED = ("netA.Self_Att.gamma",)
register_key_map(KeyMap(("stanet_*",), _official_key, "justchenhao/STANet", ignored=_IGNORED, current_key=_with_network))

"""RSM-CD, the change detector of RS-Mamba.

Source: S. Zhao, H. Chen, X. Zhang, P. Xiao, L. Bai, W. Ouyang, "RS-Mamba for Large Remote Sensing Image Dense Prediction",
IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3425540, arXiv 2404.02668. One logit and a sigmoid.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.models.vmamba_keys import BLOCK, CONV_NORM, STEPWISE, vmamba_key
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = (
    "Zhao et al., RS-Mamba for Large Remote Sensing Image Dense Prediction, IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3425540"
)
ORIGINAL = "walking-shadow/Official_Remote_Sensing_Mamba (no license file seen)"
CITATION = """@article{zhao2024rsmamba,
  title={RS-Mamba for Large Remote Sensing Image Dense Prediction},
  author={Zhao, Sijie and Chen, Hao and Zhang, Xueliang and Xiao, Pengfeng and Bai, Lei and Ouyang, Wanli},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={62},
  year={2024}
}"""
_ENCODER = {
    "channels": 96,
    "depths": [2, 2, 9, 2],
    "d_state": 16,
    "scan": "omni",
    "gated": True,
    "conv_bias": True,
    "out_norm": False,
}


@register_model
def rsm_cd_tiny(**changes: Any) -> ModelCfg:
    """RSM-CD in the only size of the authors' code."""
    config = ModelCfg(
        name="rsm_cd_tiny",
        backbone=ComponentCfg("vmamba", _ENCODER),
        fusion=ComponentCfg("concat_conv"),
        decoder=ComponentCfg("concat_up"),
        head=ComponentCfg("stepwise"),
        description="RS-Mamba for change detection: scans in eight directions",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="rsm_cd",
    )
    return replace(config, **changes)


for _dataset in ("levir", "whu"):
    alias_dataset("rsm_cd", _dataset, "rsm_cd_tiny", "RS-Mamba")


def _official_key(key: str) -> str:
    """Each stage is an encoder block that begins with its downsampling; `deocder` is the spelling of the official code."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.downsample\.(conv|norm)\.(\w+)", key):
        return f"encoder_block{int(match[1]) + 1}.downsample.{CONV_NORM[match[2]] + 1}.{match[3]}"
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.blocks\.(\d+)\.(.+)", key):
        return f"encoder_block{int(match[1]) + 1}.blocks.{match[2]}.{substitute(match[3], BLOCK)}"
    if key.startswith("backbone."):
        return vmamba_key(key.removeprefix("backbone."))
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.(.+)", key):
        return f"fuse_block{int(match[1]) + 1}.fuse.{match[2]}"
    if match := re.fullmatch(r"decoder\.projections\.(\d)\.(.+)", key):
        return f"deocder_block{int(match[1]) + 1}.fuse.{match[2]}"
    return substitute(key, STEPWISE)


register_key_map(KeyMap(("rsm_cd*",), _official_key, "walking-shadow/Official_Remote_Sensing_Mamba"))

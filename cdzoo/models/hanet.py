"""HANet: hierarchical attention network.

Source: C. Han, C. Wu, H. Guo, M. Hu, H. Chen, "HANet: A Hierarchical Attention Network for Change Detection With Bitemporal
Very-High-Resolution Remote Sensing Images", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3264802. Images have 256x256 pixels,
see the backbone `hanet`. The official code normalizes each data set and date by its own mean and standard deviation; it has
four convolutions more (`c1_conv` to `c4_conv`), which it does not use.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Han et al., HANet, IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3264802"
ORIGINAL = "ChengxiHAN/HANet-CD (no license stated)"
CITATION = """@article{han2023hanet,
  title={HANet: A Hierarchical Attention Network for Change Detection With Bitemporal Very-High-Resolution Remote Sensing Images},
  author={Han, Chengxi and Wu, Chen and Guo, Haonan and Hu, Meiqi and Chen, Hongruixuan},
  journal={IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing},
  volume={16},
  pages={3867--3878},
  year={2023}
}"""


@register_model
def hanet(**changes: Any) -> ModelCfg:
    """HANet: attention over channels, columns and rows at four scales."""
    config = ModelCfg(
        name="hanet",
        backbone=ComponentCfg("hanet"),
        fusion=ComponentCfg("hanet"),
        decoder=ComponentCfg("hanet"),
        head=ComponentCfg("conv", {"kernel_size": 3, "bias": False}),
        num_classes=2,
        description="HANet: attention over channels, columns and rows at four scales, for 256x256 pixels",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="hanet",
    )
    return replace(config, **changes)


_STAGES = ("conv0", "conv2", "conv4", "conv5")
_LINES = {"columns": "col", "rows": "row"}
_RULES = (("backbone.stem.", "conv0_0."), ("decoder.project.", "conv6."), ("head.classify.", "conv7."))


def _official_key(key: str) -> str:
    """Official levels and dilations are counted from 1."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.(.+)", key):
        return f"{_STAGES[int(match[1])]}.{match[2].replace('norm', 'bn')}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.(\w+)\.(.+)", key):
        level, part, rest = int(match[1]) + 1, match[2], match[3]
        if part == "dilated":
            return f"conv6_{level}_{int(rest[0]) + 1}{rest[1:]}"
        if part == "merge":
            return f"conv{level}_1.{rest}"
        if part == "channel":
            return f"cam_attention_{level}.attn.{rest}"
        rest = re.sub(r"^(query|key|value)", r"\1_conv", rest)
        return f"{_LINES[part]}_attention_{level}.{rest}"
    return substitute(key, _RULES)


register_key_map(KeyMap(("hanet",), _official_key, "ChengxiHAN/HANet-CD", ignored=("c[1234]_conv.*",)))

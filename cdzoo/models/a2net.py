"""A2Net: MobileNetV2, neighbor aggregation, progressive change identification and supervised attention.

Source: Z. Li, C. Tang, X. Liu, W. Zhang, J. Dou, L. Wang, A. Y. Zomaya, "Lightweight Remote Sensing Change Detection With
Progressive Feature Aggregation and Supervised Attention", IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3241436. One logit; the
official network ends in a sigmoid, which is left out here. The output does not depend on the order of the dates.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map

PAPER = (
    "Li et al., Lightweight Remote Sensing Change Detection With Progressive Feature Aggregation and Supervised Attention, IEEE "
    "TGRS 61 (2023), doi 10.1109/TGRS.2023.3241436"
)
ORIGINAL = "guanyuezhen/A2Net (no license file seen; its README names academic use)"
CITATION = """@article{li2023lightweight,
  title={Lightweight Remote Sensing Change Detection With Progressive Feature Aggregation and Supervised Attention},
  author={Li, Zhenglai and Tang, Chang and Liu, Xinwang and Zhang, Wei and Dou, Jie and Wang, Lizhe and Zomaya, Albert Y.},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={61},
  pages={1--12},
  year={2023}
}"""


@register_model
def a2net(**changes: Any) -> ModelCfg:
    """A2Net, the released network."""
    config = ModelCfg(
        name="a2net",
        backbone=ComponentCfg("timm/mobilenetv2_100", {"out_indices": [1, 2, 3, 4]}),
        neck=ComponentCfg("nam"),
        fusion=ComponentCfg("pcim"),
        decoder=ComponentCfg("supervised_attention", {"return_masks": True}),
        head=ComponentCfg("deep_supervision", {"side_logits": True}),
        description="A2Net: light encoder, dilated differences, supervised attention",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="a2net",
    )
    return replace(config, **changes)


for _dataset in ("levir", "whu", "sysu"):
    alias_dataset("a2net", _dataset, "a2net", "A2Net")


_FIRST_BLOCKS = (1, 2, 4, 7, 11, 14, 17)
"""Index of the first block of each stage in torchvision's list of blocks."""
_EXPANDING = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
_FIRST = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
_STEM = {"conv_stem": "0.0", "bn1": "0.1"}
_NEIGHBORS = {"finer.1.": (-1, 1), "same.": (0, 0), "coarser.": (1, 0)}
"""Difference of levels, and index of the convolution in the official list, which begins with the max pooling."""
_FUSED = {"fuse": "conv_fuse", "shortcut": "conv_identity"}
_ATTENTION = {"classify": "cls", "context": "conv_context", "refine": "conv2"}


def _official_key(key: str) -> str:
    """The encoder has the names of torchvision; levels are counted from 2."""
    if match := re.fullmatch(r"backbone\.model\.blocks\.(\d)\.(\d)\.(\w+)\.(\w+)", key):
        stage, block, layer, kind = match.groups()
        layers = _FIRST if stage == "0" else _EXPANDING
        return f"backbone.features.{_FIRST_BLOCKS[int(stage)] + int(block)}.conv.{layers[layer]}.{kind}"
    if match := re.fullmatch(r"backbone\.model\.(\w+)\.(\w+)", key):
        return f"backbone.features.{_STEM[match[1]]}.{match[2]}"
    if match := re.fullmatch(r"neck\.levels\.(\d)\.(finer\.1\.|same\.|coarser\.)(\d)\.(\w+)", key):
        level, (offset, first) = int(match[1]) + 2, _NEIGHBORS[match[2]]
        return f"swa.conv_scale{level}_c{level + offset}.{first + int(match[3])}.{match[4]}"
    if match := re.fullmatch(r"neck\.levels\.(\d)\.(fuse|shortcut)\.(.+)", key):
        return f"swa.conv_aggregation_s{int(match[1]) + 2}.{_FUSED[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.branches\.(\d)\.(.+)", key):
        name = "1" if match[2] == "0" else f"{int(match[2]) + 1}_f"
        return f"tfm.tffm_x{int(match[1]) + 2}.conv_branch{name}.{match[3]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.points\.(\d)\.(.+)", key):
        return f"tfm.tffm_x{int(match[1]) + 2}.conv_branch{int(match[2]) + 2}.{match[3]}"
    if match := re.fullmatch(r"decoder\.smooth\.(\d)\.(.+)", key):
        return f"decoder.conv_p{int(match[1]) + 2}.{match[2]}"
    if match := re.fullmatch(r"decoder\.attention\.(\d)\.(\w+)\.(.+)", key):
        return f"decoder.sam_p{int(match[1]) + 3}.{_ATTENTION[match[2]]}.{match[3]}"
    return key.replace("head.classify.0.", "decoder.cls.")


# The last layer of the official encoder is computed, but reaches no output.
register_key_map(KeyMap(("a2net*",), _official_key, "guanyuezhen/A2Net", ignored=("backbone.features.18.*",)))

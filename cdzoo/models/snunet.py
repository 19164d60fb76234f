"""SNUNet-CD: a densely connected Siamese network.

Source: S. Fang, K. Li, J. Shao, Z. Li, "SNUNet-CD: A Densely Connected Siamese Network for Change Detection of VHR Images", IEEE
GRSL 19 (2022), doi 10.1109/LGRS.2021.3056416. As in the official code, the coarsest level is that of the second date, only levels
of the second date are upsampled, and values in [0, 1] are not normalized.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Fang et al., SNUNet-CD, IEEE GRSL 19 (2022), doi 10.1109/LGRS.2021.3056416"
ORIGINAL = "likyoo/Siam-NestedUNet (MIT)"
CITATION = """@article{fang2022snunet,
  title={SNUNet-CD: A Densely Connected Siamese Network for Change Detection of VHR Images},
  author={Fang, Sheng and Li, Kaiyu and Shao, Jinyuan and Li, Zhe},
  journal={IEEE Geoscience and Remote Sensing Letters},
  volume={19},
  pages={1--5},
  year={2022}
}"""


def _snunet(name: str, width: int, head: str, changes: dict[str, Any]) -> ModelCfg:
    config = ModelCfg(
        name=name,
        backbone=ComponentCfg("snunet", {"channels": width, "last_date": True}),
        fusion=ComponentCfg("skips", {"mode": "concat"}),
        decoder=ComponentCfg("nested_unet", {"last_date": True}),
        head=ComponentCfg(head),
        num_classes=2,
        mean=(0.0,),
        std=(1.0,),
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="snunet",
    )
    return replace(config, **changes)


@register_model
def snunet_ecam16(**changes: Any) -> ModelCfg:
    """SNUNet with ECAM and 16 channels in the first stage."""
    return _snunet("snunet_ecam16", 16, "ecam", {"description": "SNUNet with channel attention, 16 channels", **changes})


@register_model(aliases=["snunet"])
def snunet_ecam32(**changes: Any) -> ModelCfg:
    """SNUNet with ECAM and 32 channels in the first stage."""
    return _snunet("snunet_ecam32", 32, "ecam", {"description": "SNUNet with channel attention, 32 channels", **changes})


@register_model
def snunet_ecam48(**changes: Any) -> ModelCfg:
    """SNUNet with ECAM and 48 channels in the first stage."""
    return _snunet("snunet_ecam48", 48, "ecam", {"description": "SNUNet with channel attention, 48 channels", **changes})


@register_model
def snunet_conc32(**changes: Any) -> ModelCfg:
    """SNUNet without ECAM, with deep supervision and 32 channels in the first stage."""
    return _snunet("snunet_conc32", 32, "fused_sides", {"description": "SNUNet with deep supervision, 32 channels", **changes})


_RULES = (
    ("head.together.mlp.0.", "ca.fc1."),
    ("head.together.mlp.2.", "ca.fc2."),
    ("head.summed.mlp.0.", "ca1.fc1."),
    ("head.summed.mlp.2.", "ca1.fc2."),
    ("head.classify.", "conv_final."),
)


def _official_key(key: str) -> str:
    """Blocks and transposed convolutions are numbered by level and column of the grid; the encoder is column 0."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.(.+)", key):
        return f"conv{match[1]}_0.{match[2]}".replace("norm", "bn")
    if match := re.fullmatch(r"decoder\.nodes\.(\d)\.(\d)\.(.+)", key):
        return f"conv{match[1]}_{int(match[2]) + 1}.{match[3]}".replace("norm", "bn")
    if match := re.fullmatch(r"decoder\.ups\.(\d)\.(\d)\.(.+)", key):
        return f"Up{int(match[1]) + 1}_{match[2]}.up.{match[3]}"
    if match := re.fullmatch(r"head\.sides\.(\d)\.(.+)", key):
        return f"final{int(match[1]) + 1}.{match[2]}"
    return substitute(key, _RULES)


register_key_map(KeyMap(("snunet*",), _official_key, "likyoo/Siam-NestedUNet"))

"""ChangeViT: plain vision transformer with a branch for details.

Source: D. Zhu, X. Huang, H. Huang, H. Zhou, Z. Shao, "ChangeViT: Unleashing Plain Vision Transformers for Change Detection",
arXiv 2406.12847. The network ends in a sigmoid, which is not part of it here. The official code encodes the dates one after the
other, and reads images in the order blue, green, red; its transformers start from DeiT-Ti and from DINOv2, without their position
embeddings and patch embedding. Only images of 256 x 256 pixels are accepted.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Zhu et al., ChangeViT: Unleashing Plain Vision Transformers for Change Detection, arXiv 2406.12847"
ORIGINAL = "zhuduowang/ChangeViT (CC BY-NC-SA 4.0, non-commercial)"
CITATION = """@article{zhu2024changevit,
  title={ChangeViT: Unleashing Plain Vision Transformers for Change Detection},
  author={Zhu, Duowang and Huang, Xiaohu and Huang, Haiyan and Zhou, Hao and Shao, Zhenfeng},
  journal={arXiv preprint arXiv:2406.12847},
  year={2024}
}"""


def _changevit(size: str, channels: int, changes: dict[str, Any]) -> ModelCfg:
    config = ModelCfg(
        name=f"changevit_{size}",
        backbone=ComponentCfg("changevit", {"channels": channels, "depth": 12, "heads": 6}),
        neck=ComponentCfg("feature_injector", {"heads": 8}),
        fusion=ComponentCfg("changevit"),
        decoder=ComponentCfg("deconv_up"),
        head=ComponentCfg("deconv"),
        description=f"ChangeViT, {size}: plain vision transformer and ResNet-18, for images of 256 x 256",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="changevit",
    )
    return replace(config, **changes)


@register_model
def changevit_tiny(**changes: Any) -> ModelCfg:
    """ChangeViT with a transformer of 192 channels, as DeiT-Ti."""
    return _changevit("tiny", 192, changes)


@register_model
def changevit_small(**changes: Any) -> ModelCfg:
    """ChangeViT with a transformer of 384 channels, as DINOv2-S."""
    return _changevit("small", 384, changes)


_RULES = (
    ("backbone.", "encoder."),
    ("neck.fuse.", "decoder.structure_enhance.fuse."),
    ("head.up.", "decoder.classfier.0."),
    ("head.classify.", "decoder.classfier.1."),
)


def _official_key(key: str) -> str:
    """Official levels are counted from 2; `classfier` is the official spelling."""
    if match := re.fullmatch(r"neck\.blocks\.(\d)\.(.+)", key):
        return f"decoder.structure_enhance.c{int(match[1]) + 2}_c5.{match[2]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.layers\.(.+)", key):
        return f"decoder.mlp.{match[1]}.{match[2]}"
    if match := re.fullmatch(r"decoder\.ups\.(\d)\.(.+)", key):
        return f"decoder.up_c{int(match[1]) + 3}.{match[2]}"
    return substitute(key, _RULES)


register_key_map(KeyMap(("changevit*",), _official_key, "zhuduowang/ChangeViT"))

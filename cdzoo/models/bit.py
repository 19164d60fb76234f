"""BIT: the bitemporal image transformer.

Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), doi
10.1109/TGRS.2021.3095166, arXiv 2103.00208. Of the 11.9 M parameters 3.0 M are used, see `bit_resnet18`.
"""

from __future__ import annotations

from typing import Any

from cdzoo.config import ModelCfg, PartCfg
from cdzoo.registry import register_model

PAPER = "Chen et al., Remote Sensing Image Change Detection with Transformers, IEEE TGRS 60 (2022), doi 10.1109/TGRS.2021.3095166"
ORIGINAL = "justchenhao/BIT_CD (non-commercial and research use only)"
CITATION = """@article{chen2022remote,
  title={Remote Sensing Image Change Detection With Transformers},
  author={Chen, Hao and Qi, Zipeng and Shi, Zhenwei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={60},
  pages={1--14},
  year={2022}
}"""
_RELEASED = {"decoder_depth": 8, "decoder_head_channels": 8}


def _bit(name: str, description: str, fusion: dict[str, Any]) -> ModelCfg:
    return ModelCfg(
        name=name,
        backbone=PartCfg("bit_resnet18"),
        neck=PartCfg("enlarge", {"channels": 32}),
        fusion=PartCfg("bit", {"tokens": 4, "depth": 1, "heads": 8, "head_channels": 64, **fusion}),
        head=PartCfg("fcn"),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description=description,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="bit",
    )


@register_model
def bit_s4() -> ModelCfg:
    """One decoder layer of 64 channels per head."""
    return _bit("bit_s4", "BIT with one decoder layer", {"decoder_depth": 1, "decoder_head_channels": 64})


@register_model
def bit_s4_dd8() -> ModelCfg:
    """Eight decoder layers of 64 channels per head; the authors' training script takes this one."""
    return _bit("bit_s4_dd8", "BIT with eight decoder layers", {"decoder_depth": 8, "decoder_head_channels": 64})


@register_model(aliases=["bit"])
def bit_s4_dd8_dedim8() -> ModelCfg:
    """Eight decoder layers of 8 channels per head; the released weights are of this one."""
    return _bit("bit_s4_dd8_dedim8", "BIT as released: eight slim decoder layers", _RELEASED)


@register_model
def bit_levir() -> ModelCfg:
    """The architecture of `bit_s4_dd8_dedim8`."""
    return _bit("bit_levir", "BIT for LEVIR-CD (buildings, 0.5 m)", _RELEASED)


@register_model
def bit_whu() -> ModelCfg:
    """The architecture of `bit_s4_dd8_dedim8`."""
    return _bit("bit_whu", "BIT for WHU-CD (buildings, 0.2 m)", _RELEASED)


@register_model
def bit_dsifn() -> ModelCfg:
    """The architecture of `bit_s4_dd8_dedim8`."""
    return _bit("bit_dsifn", "BIT for DSIFN-CD (Chinese cities, 2 m)", _RELEASED)

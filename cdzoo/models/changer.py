"""ChangerEx: exchanges of features between the dates inside the encoder, and flow-based dual-alignment fusion.

Source: S. Fang, K. Li, Z. Li, "Changer: Feature Interaction is What You Need for Change Detection", IEEE TGRS 61 (2023), doi
10.1109/TGRS.2023.3277496, arXiv 2209.08290. The encoders of `changer_ex_r18` and `changer_ex_s50` are those of timm.
As the official network, the models take images of any size without padding.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.mit_keys import JOINED, POINTWISE, mit_key
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Fang et al., Changer: Feature Interaction is What You Need for Change Detection, IEEE TGRS 61 (2023), arXiv 2209.08290"
ORIGINAL = "likyoo/open-cd (Apache-2.0)"
CITATION = """@article{fang2023changer,
  title={Changer: Feature Interaction is What You Need for Change Detection},
  author={Fang, Sheng and Li, Kaiyu and Li, Zhe},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={61},
  pages={1--11},
  year={2023}
}"""
EXCHANGE = [None, "spatial", "channel", "channel"]


def _changer(name: str, backbone: str, width: int, changes: dict[str, Any], **kwargs: Any) -> ModelCfg:
    config = ModelCfg(
        name=f"changer_ex_{name}",
        backbone=ComponentCfg(backbone, {**kwargs, "exchange": EXCHANGE}),
        neck=ComponentCfg("segformer", {"channels": width}),
        fusion=ComponentCfg("fdaf"),
        decoder=ComponentCfg("mix_ffn"),
        head=ComponentCfg("conv", {"dropout": 0.1}),
        num_classes=2,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="changer_mit" if backbone.startswith("mit") else "changer",
    )
    return replace(config, **changes)


@register_model
def changer_ex_r18(**changes: Any) -> ModelCfg:
    """ChangerEx on a ResNet-18 with a stem of three 3x3 convolutions."""
    description = {"description": "ChangerEx: exchanges between the dates, ResNet-18", **changes}
    return _changer("r18", "timm/resnet18", 128, description, stem_width=32, stem_type="deep", pad_multiple=1)


@register_model
def changer_ex_s50(**changes: Any) -> ModelCfg:
    """ChangerEx on ResNeSt-50."""
    description = {"description": "ChangerEx: exchanges between the dates, ResNeSt-50", **changes}
    return _changer("s50", "timm/resnest50d", 256, description, pad_multiple=1)


@register_model(aliases=["changer_ex"])
def changer_ex_mit_b0(**changes: Any) -> ModelCfg:
    """ChangerEx on MiT-B0."""
    return _changer("mit_b0", "mit_b0", 128, {"description": "ChangerEx: exchanges between the dates, MiT-B0", **changes})


@register_model
def changer_ex_mit_b1(**changes: Any) -> ModelCfg:
    """ChangerEx on MiT-B1."""
    return _changer("mit_b1", "mit_b1", 128, {"description": "ChangerEx: exchanges between the dates, MiT-B1", **changes})


_RULES = (
    ("backbone.model.", "backbone."),
    ("backbone.model.conv1.", "backbone.stem."),
    ("backbone.model.bn1.", "backbone.stem.7."),
    ("fusion.levels.0.flow.", "decode_head.neck_layer.flow_make."),
    ("decoder.levels.0.mlp.fc1.", "decode_head.discriminator.layers.0."),
    ("decoder.levels.0.mlp.dwconv.", "decode_head.discriminator.layers.1."),
    ("decoder.levels.0.mlp.fc2.", "decode_head.discriminator.layers.4."),
    ("head.classify.", "decode_head.conv_seg."),
)
_CONV_NORM = {"0": "conv", "1": "bn"}


def _official_key(key: str) -> str:
    if key.startswith("backbone.stages."):
        return f"backbone.{mit_key(key.removeprefix('backbone.'))}"
    if match := re.fullmatch(r"neck\.fuse\.(levels\.\d|join)\.(\d)\.(\w+)", key):
        layer = match[1].replace("levels", "convs").replace("join", "fusion_conv")
        return f"decode_head.{layer}.{_CONV_NORM[match[2]]}.{match[3]}"
    return substitute(key, _RULES)


register_key_map(
    KeyMap(
        ("changer_ex_*",),
        _official_key,
        "likyoo/open-cd",
        ignored=("data_preprocessor.*",),
        joined=JOINED,
        pointwise=(*POINTWISE, "decode_head.discriminator.layers.[04].weight"),
    )
)

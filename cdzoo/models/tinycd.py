"""TinyCD: the first stages of an EfficientNet, grouped mixes of both dates, and masks that weight pixels.

Source: A. Codegoni, G. Lombardi, A. Ferrari, "TINYCD: A (Not So) Deep Learning Model For Change Detection", Neural Computing and
Applications 35 (2023), doi 10.1007/s00521-022-08122-3, arXiv 2207.13159. One logit; the official network ends in a sigmoid, which
is left out here. Its instance norms make every logit depend on the whole image.
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
    "Codegoni et al., TINYCD: A (Not So) Deep Learning Model For Change Detection, Neural Computing and Applications 35 (2023), "
    "arXiv 2207.13159"
)
ORIGINAL = "AndreaCodegoni/Tiny_model_4_CD (non-commercial and research use only)"
CITATION = """@article{codegoni2023tinycd,
  title={TINYCD: a (not so) deep learning model for change detection},
  author={Codegoni, Andrea and Lombardi, Gabriele and Ferrari, Alessandro},
  journal={Neural Computing and Applications},
  volume={35},
  pages={8471--8486},
  year={2023}
}"""


@register_model
def tinycd(**changes: Any) -> ModelCfg:
    """TinyCD, the released network."""
    config = ModelCfg(
        name="tinycd",
        backbone=ComponentCfg("tinycd"),
        fusion=ComponentCfg("mamb"),
        decoder=ComponentCfg("mask_up", {"widths": [32, 64, 64]}),
        head=ComponentCfg("pixel_mlp"),
        description="TinyCD: grouped mixes of both dates, 0.28 M parameters",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="tinycd",
    )
    return replace(config, **changes)


for _dataset in ("levir", "whu"):
    alias_dataset("tinycd", _dataset, "tinycd", "TinyCD")


_LAYERS = {
    "conv_pw": "block.0.0",
    "bn1": "block.0.1",
    "conv_dw": "block.1.0",
    "bn2": "block.1.1",
    "se.conv_reduce": "block.2.fc1",
    "se.conv_expand": "block.2.fc2",
    "conv_pwl": "block.3.0",
    "bn3": "block.3.1",
}
"""Blocks of timm's EfficientNet in the names of torchvision."""
_FIRST_LAYERS = {
    "conv_dw": "block.0.0",
    "bn1": "block.0.1",
    "se.conv_reduce": "block.1.fc1",
    "se.conv_expand": "block.1.fc2",
    "conv_pw": "block.2.0",
    "bn2": "block.2.1",
}
"""The same for the blocks of the first stage, which do not expand their channels."""
_RULES = (
    ("backbone.encoder.model.model.conv_stem.", "_backbone.0.0."),
    ("backbone.encoder.model.model.bn1.", "_backbone.0.1."),
    ("fusion.levels.0.mix.", "_first_mix._mixing._convmix."),
    ("fusion.levels.1.mix.", "_mixing_mask.0._mixing._convmix."),
    ("fusion.levels.2.mix.", "_mixing_mask.1._mixing._convmix."),
    ("fusion.levels.3.mix.", "_mixing_mask.2._convmix."),
    ("decoder.masks.0.", "_first_mix._linear._linears."),
    ("decoder.masks.1.", "_mixing_mask.0._linear._linears."),
    ("decoder.masks.2.", "_mixing_mask.1._linear._linears."),
    *((f"decoder.ups.{level}.", f"_up.{2 - level}._convolution.") for level in range(3)),
    ("head.classify.", "_classify._linears."),
)


def _official_key(key: str) -> str:
    """The encoder has the names of torchvision."""
    if match := re.fullmatch(r"backbone\.encoder\.model\.model\.blocks\.(\d)\.(\d)\.(.+)\.(\w+)", key):
        stage, block, layer, kind = match.groups()
        layers = _FIRST_LAYERS if stage == "0" else _LAYERS
        return f"_backbone.{int(stage) + 1}.{block}.{layers[layer]}.{kind}"
    return substitute(key, _RULES)


def _current_key(key: str) -> str:
    """The released file for WHU-CD names its last mix as the other mixes."""
    return key.replace("_mixing_mask.2._mixing.", "_mixing_mask.2.")


register_key_map(KeyMap(("tinycd*",), _official_key, "AndreaCodegoni/Tiny_model_4_CD", current_key=_current_key))

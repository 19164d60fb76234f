"""CDMamba: Mamba with local convolutions, from full resolution on.

Source: H. Zhang, K. Chen, C. Liu, H. Chen, Z. Zou, Z. Shi, "CDMamba: Incorporating Local Clues Into Mamba for Remote Sensing
Image Binary Change Detection", IEEE TGRS 63 (2025), arXiv 2406.04207. As in the official code, images must be square. Its
modules of the two coarse levels of the fusion, which are not used, are left out, and its second names of the others are read
and written.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Zhang et al., CDMamba, IEEE TGRS 63 (2025), arXiv 2406.04207"
ORIGINAL = "zmoka-zht/CDMamba (Apache-2.0 according to its README)"
CITATION = """@article{zhang2025cdmamba,
  title={CDMamba: Incorporating Local Clues Into Mamba for Remote Sensing Image Binary Change Detection},
  author={Zhang, Haotian and Chen, Keyan and Liu, Chenyang and Chen, Hao and Zou, Zhengxia and Shi, Zhenwei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={63},
  year={2025}
}"""


@register_model
def cdmamba(**changes: Any) -> ModelCfg:
    """CDMamba as released for LEVIR-CD+ and WHU-CD, for square images."""
    config = ModelCfg(
        name="cdmamba",
        backbone=ComponentCfg("cdmamba"),
        fusion=ComponentCfg("cdmamba", {"guided": 2}),
        decoder=ComponentCfg("cdmamba"),
        head=ComponentCfg("conv", {"kernel_size": 1}),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description="CDMamba: scans with local convolutions at full resolution, dates that guide each other; square images",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="cdmamba",
    )
    return replace(config, **changes)


_DIRECTIONS = {"ahead": "", "back": "_b", "guide.scan": "_g"}
_MIX = (
    ("mix.scan.in_proj.", "convmamba.in_proj."),
    ("mix.local.", "convmamba.local_relation."),
    ("mix.out_proj.", "convmamba.out_proj."),
)
_GUIDE = (
    ("scan.in_proj.", "fusionencoder.in_proj."),
    ("guide.in_proj.", "fusionencoder.in_proj_global."),
    ("guide.convs.", "fusionencoder.lcoal_relation."),
    ("out_proj.", "fusionencoder.out_proj."),
)
_RULES = (
    ("backbone.stem.", "convInit.conv."),
    ("decoder.norm.", "conv_final.0."),
    ("head.classify.", "conv_final.2.conv."),
)
_SEPARABLE = {"0": "depthwise_conv", "1": "pointwise_conv"}


def _scan_key(key: str, module: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Return the official name of a parameter of a module with scans; parameters of a direction have its suffix."""
    if match := re.fullmatch(r"(?:mix\.)?(?:scan\.)?(ahead|back|guide\.scan)\.(\w+)(\..+)?", key):
        name, suffix = match[2], _DIRECTIONS[match[1]]
        name = f"A{suffix}_log" if name == "A_log" else f"{name}{suffix}"
        return f"{module}.{name}{match[3] or ''}"
    key = substitute(key, rules)
    return re.sub(r"(local_relation\.\d\.)([01])\.", lambda m: f"{m[1]}{_SEPARABLE[m[2]]}.", key)


def _official_key(key: str) -> str:
    """Official stages of the encoder begin with their downsampling; those of the decoder are counted from the coarsest."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.(0\.0|\d\.conv\d)\.(.+)", key):
        return f"srcm_encoder_layers.{match[1]}.{match[2]}.{_scan_key(match[3], 'convmamba', _MIX)}"
    if match := re.fullmatch(r"backbone\.stages\.(.+)", key):
        return f"srcm_encoder_layers.{match[1]}"
    if match := re.fullmatch(r"decoder\.blocks\.(\d)\.(conv\d)\.(.+)", key):
        return f"srcm_decoder_layers.{2 - int(match[1])}.0.{match[2]}.{_scan_key(match[3], 'convmamba', _MIX)}"
    if match := re.fullmatch(r"decoder\.blocks\.(\d)\.(.+)", key):
        return f"srcm_decoder_layers.{2 - int(match[1])}.0.{match[2]}"
    if match := re.fullmatch(r"decoder\.ups\.(\d)\.(.+)", key):
        return f"up_samples.{2 - int(match[1])}.0.{match[2]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.gate\.(.+)", key):
        return f"ag.{match[1]}.{match[2]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.(near|far)\.(.+)", key):
        kind = {"near": "l_gf", "far": "g_gf"}[match[2]]
        return f"{kind}.{match[1]}.{_scan_key(match[3], 'fusionencoder', _GUIDE)}"
    return substitute(key, _RULES)


def _current_key(key: str) -> str:
    """Each module of the fusion has two official names, `ag1` and `ag.0`."""
    match = re.match(r"(l_gf|g_gf|ag)([1-4])\.", key)
    return key if match is None else f"{match[1]}.{int(match[2]) - 1}.{key[match.end() :]}"


register_key_map(
    KeyMap(
        ("cdmamba",),
        _official_key,
        "zmoka-zht/CDMamba",
        ignored=("?_gf*.skip_scale", *(f"{name}{level}.*" for name in ("?_gf", "ag") for level in ("3", "4", ".2", ".3"))),
        current_key=_current_key,
        copies=tuple((f"{name}.{level}.", f"{name}{level + 1}.") for name in ("l_gf", "g_gf", "ag") for level in (0, 1)),
    )
)

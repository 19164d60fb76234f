"""MambaSCD and MambaBDA, the semantic change detector and the damage assessor of ChangeMamba.

Source: H. Chen, J. Song, C. Han, J. Xia, N. Yokoya, "ChangeMamba: Remote Sensing Change Detection With Spatiotemporal State
Space Model", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3417253, arXiv 2404.03425. The sizes are those that the authors' code
builds; the parameter counts printed in the paper are smaller and do not follow from it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.mambabcd import CITATION, PAPER
from cdzoo.models.vmamba_keys import change_decoder_key, second_generation, semantic_decoder_key, vmamba_key
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map

ORIGINAL = "ChenHongruixuan/ChangeMamba (no license file seen)"

_MAMBASCD = ModelCfg(
    name="mambascd",
    backbone=ComponentCfg("vmamba_tiny"),
    fusion=ComponentCfg("spatio_temporal", {"width": 128, "drop_path": 0.1}),
    decoder=ComponentCfg("top_down"),
    head=ComponentCfg("conv", {"kernel_size": 1}),
    num_classes=2,
    task="semantic",
    # The order of the authors' checkpoints; other copies of SECOND number the classes in another one, see docs/classes.md.
    class_names=("low vegetation", "ground", "tree", "water", "building", "sports field"),
    branch_decoder=ComponentCfg("semantic", {"channels": 128, "drop_path": 0.1}),
    branch_head=ComponentCfg("conv", {"kernel_size": 1}),
    branch_shared=False,
    paper=PAPER,
    original=ORIGINAL,
    citation=CITATION,
    recipe="mambascd",
)
_MAMBABDA = replace(
    _MAMBASCD,
    name="mambabda",
    num_classes=5,
    task="damage",
    class_names=("no damage", "minor damage", "major damage", "destroyed"),
    recipe="mambabda",
)


def _sized(config: ModelCfg, size: str, task: str, changes: dict[str, Any]) -> ModelCfg:
    description = f"ChangeMamba for {task}, {size}"
    backbone = ComponentCfg(f"vmamba_{size}")
    return replace(config, name=f"{config.name}_{size}", backbone=backbone, **{"description": description, **changes})


@register_model
def mambascd_tiny(**changes: Any) -> ModelCfg:
    """MambaSCD on VMamba with C = 96 and 2-2-4-2 blocks; the classes are those of SECOND."""
    return _sized(_MAMBASCD, "tiny", "semantic change detection", changes)


@register_model
def mambascd_small(**changes: Any) -> ModelCfg:
    """MambaSCD on VMamba with C = 96 and 2-2-15-2 blocks."""
    return _sized(_MAMBASCD, "small", "semantic change detection", changes)


@register_model
def mambascd_base(**changes: Any) -> ModelCfg:
    """MambaSCD on VMamba with C = 128 and 2-2-15-2 blocks."""
    return _sized(_MAMBASCD, "base", "semantic change detection", changes)


@register_model
def mambabda_tiny(**changes: Any) -> ModelCfg:
    """MambaBDA on VMamba with C = 96 and 2-2-4-2 blocks; the classes are those of xBD."""
    return _sized(_MAMBABDA, "tiny", "building damage assessment", changes)


@register_model
def mambabda_small(**changes: Any) -> ModelCfg:
    """MambaBDA on VMamba with C = 96 and 2-2-15-2 blocks."""
    return _sized(_MAMBABDA, "small", "building damage assessment", changes)


@register_model
def mambabda_base(**changes: Any) -> ModelCfg:
    """MambaBDA on VMamba with C = 128 and 2-2-15-2 blocks."""
    return _sized(_MAMBABDA, "base", "building damage assessment", changes)


def _official_key(key: str, change: str, head: str, branches: dict[str, str]) -> str:
    """Return the official name, given those of the change decoder, of its head, and of the decoder of each branch."""
    if key.startswith("backbone."):
        return "encoder." + vmamba_key(key.removeprefix("backbone."))
    if key.startswith("branches."):
        _, branch, role, rest = key.split(".", 3)
        if role == "head":  # of both dates
            return f"aux_clf.{rest.removeprefix('classify.')}"
        return second_generation(semantic_decoder_key(rest, branches[branch]))
    return second_generation(change_decoder_key(key, change) or key.replace("head.classify.", f"{head}."))


_SOURCE = "ChenHongruixuan/ChangeMamba"
_LAND_COVER = {"semantic_t1": "decoder_T1", "semantic_t2": "decoder_T2"}
_scd_key = partial(_official_key, change="decoder_bcd", head="main_clf_cd", branches=_LAND_COVER)
_bda_key = partial(_official_key, change="decoder_damage", head="main_clf", branches={"building": "decoder_building"})
register_key_map(KeyMap(("mambascd*",), _scd_key, _SOURCE, current_key=second_generation))
register_key_map(KeyMap(("mambabda*",), _bda_key, _SOURCE, current_key=second_generation))

"""MambaBCD, the binary change detector of ChangeMamba.

Source: H. Chen, J. Song, C. Han, J. Xia, N. Yokoya, "ChangeMamba: Remote Sensing Change Detection With Spatiotemporal State
Space Model", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3417253, arXiv 2404.03425. The sizes are those that the authors'
code builds; the parameter counts printed in the paper (17.1, 49.9 and 84.7 M) are smaller and do not follow from it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.models.vmamba_keys import change_decoder_key, first_generation, vmamba_key
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map

PAPER = "Chen et al., ChangeMamba, IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3417253"
ORIGINAL = "ChenHongruixuan/MambaCD (no license file seen)"
CITATION = """@article{chen2024changemamba,
  title={ChangeMamba: Remote Sensing Change Detection With Spatiotemporal State Space Model},
  author={Chen, Hongruixuan and Song, Jian and Han, Chengxi and Xia, Junshi and Yokoya, Naoto},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={62},
  pages={1--20},
  year={2024}
}"""


_MAMBABCD = ModelCfg(
    name="mambabcd",
    backbone=ComponentCfg("vmamba_tiny"),
    fusion=ComponentCfg("spatio_temporal", {"width": 128, "drop_path": 0.1}),
    decoder=ComponentCfg("top_down"),
    head=ComponentCfg("conv", {"kernel_size": 1}),
    num_classes=2,
    paper=PAPER,
    original=ORIGINAL,
    citation=CITATION,
    recipe="mambabcd",
)


def _mambabcd(size: str, changes: dict[str, Any]) -> ModelCfg:
    description = f"ChangeMamba for binary change detection, {size}"
    backbone = ComponentCfg(f"vmamba_{size}")
    return replace(_MAMBABCD, name=f"mambabcd_{size}", backbone=backbone, **{"description": description, **changes})


@register_model
def mambabcd_tiny(**changes: Any) -> ModelCfg:
    """MambaBCD on VMamba with C = 96 and 2-2-4-2 blocks."""
    return _mambabcd("tiny", changes)


@register_model
def mambabcd_small(**changes: Any) -> ModelCfg:
    """MambaBCD on VMamba with C = 96 and 2-2-15-2 blocks."""
    return _mambabcd("small", changes)


@register_model
def mambabcd_base(**changes: Any) -> ModelCfg:
    """MambaBCD on VMamba with C = 128 and 2-2-15-2 blocks."""
    return _mambabcd("base", changes)


for _size in ("tiny", "small", "base"):
    for _dataset in ("sysu", "levir_plus", "whu"):
        alias_dataset(f"mambabcd_{_size}", _dataset, f"mambabcd_{_size}", f"ChangeMamba, {_size},")


def _official_key(key: str) -> str:
    """In the first generation of the official code, levels and arrangements (parallel, cross, sequential) are counted from 1."""
    if key.startswith("backbone."):
        return "encoder." + vmamba_key(key.removeprefix("backbone."))
    return change_decoder_key(key, "decoder") or key.replace("head.classify.", "main_clf.")


register_key_map(KeyMap(("mambabcd*",), _official_key, "ChenHongruixuan/MambaCD", current_key=first_generation))

"""MambaBCD, the binary change detector of ChangeMamba.

Source: H. Chen, J. Song, C. Han, J. Xia, N. Yokoya, "ChangeMamba: Remote Sensing Change Detection With Spatiotemporal State
Space Model", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3417253, arXiv 2404.03425. The sizes are those that the authors'
code builds; the parameter counts printed in the paper (17.1, 49.9 and 84.7 M) are smaller and cannot be had from it.
"""

from __future__ import annotations

from functools import partial

from cdzoo.config import ModelCfg, PartCfg
from cdzoo.registry import register_model

PAPER = "Chen et al., ChangeMamba, IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3417253"
ORIGINAL = "ChenHongruixuan/MambaCD (no licence file seen)"
CITATION = """@article{chen2024changemamba,
  title={ChangeMamba: Remote Sensing Change Detection With Spatiotemporal State Space Model},
  author={Chen, Hongruixuan and Song, Jian and Han, Chengxi and Xia, Junshi and Yokoya, Naoto},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={62},
  pages={1--20},
  year={2024}
}"""


def _mambabcd(name: str, description: str, size: str) -> ModelCfg:
    return ModelCfg(
        name=name,
        backbone=PartCfg(f"vmamba_{size}"),
        fusion=PartCfg("spatio_temporal", {"width": 128, "drop_path": 0.1}),
        decoder=PartCfg("top_down"),
        head=PartCfg("conv", {"kernel_size": 1}),
        num_classes=2,
        description=description,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="mambabcd",
    )


@register_model
def mambabcd_tiny() -> ModelCfg:
    """On VMamba with C = 96, blocks 2-2-4-2."""
    return _mambabcd("mambabcd_tiny", "ChangeMamba for binary change, tiny", "tiny")


@register_model
def mambabcd_small() -> ModelCfg:
    """On VMamba with C = 96, blocks 2-2-15-2."""
    return _mambabcd("mambabcd_small", "ChangeMamba for binary change, small", "small")


@register_model
def mambabcd_base() -> ModelCfg:
    """On VMamba with C = 128, blocks 2-2-15-2."""
    return _mambabcd("mambabcd_base", "ChangeMamba for binary change, base", "base")


_DATA = {
    "sysu": "SYSU-CD (many kinds of change, 0.5 m)",
    "levir_plus": "LEVIR-CD+ (buildings, 0.5 m)",
    "whu": "WHU-CD (buildings, 0.2 m)",
}


def _preset(size: str, data: str) -> ModelCfg:
    return _mambabcd(f"mambabcd_{size}_{data}", f"ChangeMamba, {size}, for {_DATA[data]}", size)


for _size in ("tiny", "small", "base"):
    for _name in _DATA:
        register_model(f"mambabcd_{_size}_{_name}")(partial(_preset, _size, _name))

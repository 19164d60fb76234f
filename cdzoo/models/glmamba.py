"""GLMamba: a global-local Mamba network for efficient remote-sensing change detection.

Source: S. Liu, C. Zhu, H. Yin, K. Qin, H. Lin, J. Huang, M. Xia, L. Weng, IEEE JSTARS 19 (2026) 11344-11360,
doi 10.1109/JSTARS.2026.3675679.

The width of the published network is not certain: descriptions of it say both "C = 96" and "10-15 M parameters", which no
network of these components satisfies (C = 96 has about 60 M). The models for data sets follow the number of parameters, with
C = 40, the largest multiple of 8 in that range. A multiple of 8 makes the inner width 2 C fill SIMD lanes and GPU warps evenly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.registry import register_model

PAPER = "Liu et al., GLMamba, IEEE JSTARS 19 (2026), doi 10.1109/JSTARS.2026.3675679"

CITATION = """@article{liu2026glmamba,
  title={GLMamba},
  author={Liu, S. and Zhu, C. and Yin, H. and Qin, K. and Lin, H. and Huang, J. and Xia, M. and Weng, L.},
  journal={IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing},
  volume={19},
  pages={11344--11360},
  year={2026},
  doi={10.1109/JSTARS.2026.3675679}
}"""


def _glmamba(
    name: str, channels: int, changes: dict[str, Any], depths: tuple[int, ...] = (2, 2, 6, 2), d_state: int = 16
) -> ModelCfg:
    config = ModelCfg(
        name=name,
        backbone=ComponentCfg("vss", {"channels": channels, "depths": depths, "d_state": d_state, "scan": "cross"}),
        neck=ComponentCfg("csam"),
        fusion=ComponentCfg("bfa"),
        decoder=ComponentCfg("csie", {"groups": 4, "interaction": "group"}),
        head=ComponentCfg("summation"),
        description=f"GLMamba with C = {channels}",
        paper=PAPER,
        citation=CITATION,
    )
    return replace(config, **changes)


@register_model
def glmamba_tiny(**changes: Any) -> ModelCfg:
    """GLMamba with C = 16, one block per stage and N = 4, for tests and laptops; not a model of the paper."""
    description = "Smallest GLMamba, for tests and laptops"
    return _glmamba("glmamba_tiny", 16, {"description": description, **changes}, (1, 1, 1, 1), 4)


@register_model
def glmamba_levir(**changes: Any) -> ModelCfg:
    """GLMamba of the paper for LEVIR-CD, with C = 40."""
    description = "GLMamba for LEVIR-CD (buildings, 0.5 m)"
    return _glmamba("glmamba_levir", 40, {"description": description, "recipe": "glmamba_levir", **changes})


@register_model
def glmamba_base(**changes: Any) -> ModelCfg:
    """GLMamba with C = 64."""
    return _glmamba("glmamba_base", 64, changes)


@register_model
def glmamba_large(**changes: Any) -> ModelCfg:
    """GLMamba with C = 96, the width printed in descriptions of the paper."""
    return _glmamba("glmamba_large", 96, changes)


for _dataset in ("gz", "sysu"):
    alias_dataset("glmamba", _dataset, "glmamba_levir", "GLMamba", recipe=f"glmamba_{_dataset}")

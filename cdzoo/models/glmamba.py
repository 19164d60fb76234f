"""GLMamba: a global-local Mamba network for efficient remote-sensing change detection.

Source: S. Liu, C. Zhu, H. Yin, K. Qin, H. Lin, J. Huang, M. Xia, L. Weng, IEEE JSTARS 19 (2026) 11344-11360,
doi 10.1109/JSTARS.2026.3675679.

The width of the published network is not certain: descriptions of it say both "C = 96" and "10-15 M parameters", which no
network of these parts can be at once (C = 96 has about 60 M). The data-set models keep the efficiency claim, with C = 40: the
widest multiple of 8 whose parameters lie in that range, so that the inner width 2 C fills SIMD lanes and GPU warps evenly.
"""

from __future__ import annotations

from cdzoo.config import ModelCfg, PartCfg
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


def _glmamba(name: str, description: str, channels: int, depths: tuple[int, ...] = (2, 2, 6, 2), d_state: int = 16) -> ModelCfg:
    return ModelCfg(
        name=name,
        backbone=PartCfg("vss", {"channels": channels, "depths": depths, "d_state": d_state, "scan": "cross"}),
        neck=PartCfg("csam"),
        fusion=PartCfg("bfa"),
        decoder=PartCfg("csie", {"groups": 4, "interaction": "group"}),
        head=PartCfg("summation"),
        description=description,
        paper=PAPER,
        citation=CITATION,
    )


@register_model
def glmamba_tiny() -> ModelCfg:
    """C = 16, one block per stage, N = 4: for tests, demos and laptops; not a model of the paper."""
    return _glmamba("glmamba_tiny", "Smallest GLMamba, for tests, demos and laptops", 16, (1, 1, 1, 1), 4)


@register_model
def glmamba_levir() -> ModelCfg:
    """The paper's model for LEVIR-CD, at C = 40."""
    return _glmamba("glmamba_levir", "GLMamba for LEVIR-CD (buildings, 0.5 m)", 40)


@register_model
def glmamba_gz() -> ModelCfg:
    """The paper's model for GZ-CD; the architecture of `glmamba_levir`."""
    return _glmamba("glmamba_gz", "GLMamba for GZ-CD (Guangzhou suburbs)", 40)


@register_model
def glmamba_sysu() -> ModelCfg:
    """The paper's model for SYSU-CD; the architecture of `glmamba_levir`."""
    return _glmamba("glmamba_sysu", "GLMamba for SYSU-CD (many kinds of change, 0.5 m)", 40)


@register_model
def glmamba_base() -> ModelCfg:
    """C = 64."""
    return _glmamba("glmamba_base", "GLMamba with C = 64", 64)


@register_model
def glmamba_large() -> ModelCfg:
    """C = 96, the width that descriptions of the paper print."""
    return _glmamba("glmamba_large", "GLMamba with C = 96", 96)

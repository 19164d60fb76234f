"""RSM-CD, the change detector of RS-Mamba.

Source: S. Zhao, H. Chen, X. Zhang, P. Xiao, L. Bai, W. Ouyang, "RS-Mamba for Large Remote Sensing Image Dense Prediction",
IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3425540, arXiv 2404.02668. One logit and a sigmoid.
"""

from __future__ import annotations

from cdzoo.config import ModelCfg, PartCfg
from cdzoo.registry import register_model

PAPER = (
    "Zhao et al., RS-Mamba for Large Remote Sensing Image Dense Prediction, IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3425540"
)
ORIGINAL = "walking-shadow/Official_Remote_Sensing_Mamba (no licence file seen)"
CITATION = """@article{zhao2024rsmamba,
  title={RS-Mamba for Large Remote Sensing Image Dense Prediction},
  author={Zhao, Sijie and Chen, Hao and Zhang, Xueliang and Xiao, Pengfeng and Bai, Lei and Ouyang, Wanli},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={62},
  year={2024}
}"""
_ENCODER = {
    "channels": 96,
    "depths": [2, 2, 9, 2],
    "d_state": 16,
    "scan": "omni",
    "gated": True,
    "conv_bias": True,
    "out_norm": False,
}


def _rsm_cd(name: str, description: str) -> ModelCfg:
    return ModelCfg(
        name=name,
        backbone=PartCfg("vmamba", _ENCODER),
        fusion=PartCfg("concat_conv"),
        decoder=PartCfg("concat_up"),
        head=PartCfg("stepwise"),
        description=description,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="rsm_cd",
    )


@register_model
def rsm_cd_tiny() -> ModelCfg:
    """The only size of the authors' code."""
    return _rsm_cd("rsm_cd_tiny", "RS-Mamba for change detection: scans in eight directions")


@register_model
def rsm_cd_levir() -> ModelCfg:
    """The architecture of `rsm_cd_tiny`."""
    return _rsm_cd("rsm_cd_levir", "RS-Mamba for LEVIR-CD (buildings, 0.5 m)")


@register_model
def rsm_cd_whu() -> ModelCfg:
    """The architecture of `rsm_cd_tiny`."""
    return _rsm_cd("rsm_cd_whu", "RS-Mamba for WHU-CD (buildings, 0.2 m)")

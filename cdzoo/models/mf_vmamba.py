"""What is public of MF-VMamba.

Source: Z. Zhang, X. Fan, X. Wang, Y. Qin, J. Xia, "A Novel Remote Sensing Image Change Detection Approach Based on Multilevel
State Space Model", IEEE TGRS 2024, doi 10.1109/TGRS.2024.3501303. The paper describes a VMamba encoder, a feature enhancement
module and a multilevel attention decoder with large-kernel convolutions. No code of it is public: the repository that carries
its name (121zzy/MF-Mamba) runs ChangeMamba's base model and holds one more decoder, unused, without a large-kernel
convolution. That decoder is what is built here. It is not the paper's, and no published figure of the paper applies to it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from cdzoo.config import ModelCfg, PartCfg
from cdzoo.registry import register_model

PAPER = "Zhang et al., Multilevel State Space Model, IEEE TGRS 2024, doi 10.1109/TGRS.2024.3501303 (decoder of the public code)"
ORIGINAL = "121zzy/MF-Mamba (no licence)"
CITATION = """@article{zhang2024multilevel,
  title={A Novel Remote Sensing Image Change Detection Approach Based on Multilevel State Space Model},
  author={Zhang, Z. and Fan, X. and Wang, X. and Qin, Y. and Xia, J.},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  year={2024},
  doi={10.1109/TGRS.2024.3501303}
}"""


def _mf_vmamba(name: str, description: str, size: str, **changes: Any) -> ModelCfg:
    return ModelCfg(
        name=name,
        backbone=PartCfg(f"vmamba_{size}"),
        fusion=PartCfg("mf_mamba"),
        decoder=PartCfg("concat_up", {"early_projection": True}),
        head=PartCfg("stepwise"),
        num_classes=2,
        description=description,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="mf_vmamba",
        **changes,
    )


@register_model
def mfvmamba_altdec() -> ModelCfg:
    """The unused decoder of the public code on VMamba base, as that code would build it; not the paper's model."""
    return _mf_vmamba("mfvmamba_altdec", "Unused decoder of the MF-Mamba repository on VMamba base", "base")


@register_model
def mf_vmamba() -> ModelCfg:
    """The same design on VMamba tiny.

    Unknown, and so not here: the paper's large-kernel attention decoder (spatial and spectral) and the wiring of its feature
    enhancement module.
    """
    return _mf_vmamba("mf_vmamba", "Decoder of the MF-Mamba repository on VMamba tiny; not the paper's decoder", "tiny")


_DATA = {
    "cdd": "CDD (seasons, many kinds of change)",
    "dsifn": "DSIFN-CD (Chinese cities, 2 m)",
    "levir": "LEVIR-CD (buildings, 0.5 m)",
    "sysu": "SYSU-CD (many kinds of change, 0.5 m)",
}


def _preset(data: str) -> ModelCfg:
    return _mf_vmamba(f"mf_vmamba_{data}", f"The architecture of mf_vmamba for {_DATA[data]}", "tiny")


for _name in _DATA:
    register_model(f"mf_vmamba_{_name}")(partial(_preset, _name))

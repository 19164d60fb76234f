"""MF-VMamba, as far as its code is public.

Source: Z. Zhang, X. Fan, X. Wang, Y. Qin, J. Xia, "A Novel Remote Sensing Image Change Detection Approach Based on Multilevel
State Space Model", IEEE TGRS 2024, doi 10.1109/TGRS.2024.3501303. The paper describes a VMamba encoder, a feature enhancement
module and a multilevel attention decoder with large-kernel convolutions. Their code is not public: the repository of
this name (121zzy/MF-Mamba) runs the base model of ChangeMamba and contains another decoder, unused and without large-kernel
convolutions. This module builds that decoder. It is not the decoder of the paper, and the scores of the paper do not apply to it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.aliases import alias_dataset
from cdzoo.models.vmamba_keys import STEPWISE, vmamba_key
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Zhang et al., Multilevel State Space Model, IEEE TGRS 2024, doi 10.1109/TGRS.2024.3501303 (decoder of the public code)"
ORIGINAL = "121zzy/MF-Mamba (no license)"
CITATION = """@article{zhang2024multilevel,
  title={A Novel Remote Sensing Image Change Detection Approach Based on Multilevel State Space Model},
  author={Zhang, Z. and Fan, X. and Wang, X. and Qin, Y. and Xia, J.},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  year={2024},
  doi={10.1109/TGRS.2024.3501303}
}"""


def _mf_vmamba(name: str, size: str, changes: dict[str, Any]) -> ModelCfg:
    config = ModelCfg(
        name=name,
        backbone=ComponentCfg(f"vmamba_{size}"),
        fusion=ComponentCfg("mf_mamba"),
        decoder=ComponentCfg("concat_up", {"early_projection": True}),
        head=ComponentCfg("stepwise"),
        num_classes=2,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="mf_vmamba",
    )
    return replace(config, **changes)


@register_model
def mfvmamba_altdec(**changes: Any) -> ModelCfg:
    """Unused decoder of the public code on VMamba base, with the sizes of that code; not the model of the paper."""
    description = "Unused decoder of the MF-Mamba repository on VMamba base"
    return _mf_vmamba("mfvmamba_altdec", "base", {"description": description, **changes})


@register_model
def mf_vmamba(**changes: Any) -> ModelCfg:
    """The same design on VMamba tiny.

    The large-kernel attention decoder of the paper (spatial and spectral) and the connections of its feature enhancement module
    are not public and therefore not implemented.
    """
    description = "Decoder of the MF-Mamba repository on VMamba tiny; not the decoder of the paper"
    return _mf_vmamba("mf_vmamba", "tiny", {"description": description, **changes})


for _dataset in ("cdd", "dsifn", "levir", "sysu"):
    alias_dataset("mf_vmamba", _dataset, "mf_vmamba", "mf_vmamba")


def _official_key(key: str) -> str:
    if key.startswith("backbone."):
        return "encoder." + vmamba_key(key.removeprefix("backbone."))
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.joint\.(conv|norm|mlp)\.(.+)", key):
        return f"decoder.fusion{int(match[1]) + 1}.{dict(conv='conv', norm='bn', mlp='fc')[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.(.+)", key):
        return f"decoder.fuse{int(match[1]) + 1}.{match[2]}"
    if match := re.fullmatch(r"decoder\.projections\.(\d)\.(\w+)", key):
        return f"decoder.conv{int(match[1]) + 1}.{match[2]}"
    return substitute(key, (("decoder.coarsest.", "decoder.conv4."), *((o, f"decoder.{t}") for o, t in STEPWISE)))


register_key_map(KeyMap(("mf*vmamba*",), _official_key, "121zzy/MF-Mamba"))

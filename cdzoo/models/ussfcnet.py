"""USSFC-Net: U-Net of multiscale decoupled convolutions on differences, with one encoder per date.

Source: T. Lei, X. Geng, H. Ning, Z. Lv, M. Gong, Y. Jin, A. K. Nandi, "Ultralightweight Spatial-Spectral Feature Cooperation
Network for Change Detection in Remote Sensing Images", IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3261273. One logit; the
official network ends in a sigmoid, which is left out here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map

PAPER = (
    "Lei et al., Ultralightweight Spatial-Spectral Feature Cooperation Network for Change Detection in Remote Sensing Images, "
    "IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3261273"
)
ORIGINAL = "SUST-reynole/USSFC-Net (no license file seen)"
CITATION = """@article{lei2023ultralightweight,
  title={Ultralightweight Spatial-Spectral Feature Cooperation Network for Change Detection in Remote Sensing Images},
  author={Lei, Tao and Geng, Xinzhe and Ning, Hailong and Lv, Zhiyong and Gong, Maoguo and Jin, Yaochu and Nandi, Asoke K.},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={61},
  pages={1--14},
  year={2023}
}"""


@register_model
def ussfcnet(**changes: Any) -> ModelCfg:
    """USSFC-Net, the released network."""
    config = ModelCfg(
        name="ussfcnet",
        backbone=ComponentCfg("ussfcnet"),
        fusion=ComponentCfg("abs_diff"),
        decoder=ComponentCfg("msd_unet"),
        head=ComponentCfg("conv"),
        siamese=False,
        mean=(0.5,),
        std=(0.5,),
        description="USSFC-Net: multiscale decoupled convolutions, one encoder per date",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="ussfcnet",
    )
    return replace(config, **changes)


_MODULES = {
    "native": "native",
    "cyclic.0.dilated": "aux.0.prim",
    "cyclic.0.shifted": "aux.0.prim_shift",
    "cyclic.0.conv": "aux.0.conv",
    "cyclic.1": "aux.1",
}


def _block_key(key: str) -> str:
    """Return the official name of a parameter of a pair of multiscale decoupled convolutions."""
    if match := re.fullmatch(r"(\d)\.(native|cyclic\.0\.\w+|cyclic\.1)\.(.+)", key):
        return f"Conv.{match[1]}.{_MODULES[match[2]]}.{match[3]}"
    return f"Conv.{key}"


def _official_key(key: str) -> str:
    """Stages are counted from 1; the suffix is that of the date, and the decoder has the number of the coarser stage."""
    if match := re.fullmatch(r"backbone(2?)\.stages\.(\d)\.(.+)", key):
        stage, date = int(match[2]) + 1, match[1] or "1"
        return f"Conv{stage}_{date}.{f'conv.{match[3]}' if stage == 1 else _block_key(match[3])}"
    if match := re.fullmatch(r"decoder\.ups\.(\d)\.(.+)", key):
        return f"Up{int(match[1]) + 2}.{match[2]}"
    if match := re.fullmatch(r"decoder\.stages\.(\d)\.(.+)", key):
        return f"Up_conv{int(match[1]) + 2}.{_block_key(match[2])}"
    return key.replace("head.classify.", "Conv_1x1.")


register_key_map(KeyMap(("ussfcnet*",), _official_key, "SUST-reynole/USSFC-Net"))

"""FC-EF, FC-Siam-Conc and FC-Siam-Diff: fully convolutional networks for change detection.

Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, doi
10.1109/ICIP.2018.8451652, arXiv 1810.08462. The models return logits; the official code ends with a log-softmax. It also
normalizes each image by its own mean and standard deviation; here values in [0, 1] are normalized with constants.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import OTHER_MEAN, OTHER_STD, ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map

PAPER = "Daudt et al., Fully convolutional Siamese networks for change detection, ICIP 2018, doi 10.1109/ICIP.2018.8451652"
ORIGINAL = "rcdaudt/fully_convolutional_change_detection (no license stated)"
CITATION = """@inproceedings{daudt2018fully,
  title={Fully convolutional Siamese networks for change detection},
  author={Caye Daudt, Rodrigo and Le Saux, Bertrand and Boulch, Alexandre},
  booktitle={IEEE International Conference on Image Processing (ICIP)},
  pages={4063--4067},
  year={2018}
}"""


_WIDTHS, _STAGE_DEPTHS = [16, 32, 64, 128], [2, 2, 3, 3]
_FC = ModelCfg(
    name="fc",
    backbone=ComponentCfg("unet", {"channels": _WIDTHS, "depths": _STAGE_DEPTHS, "dropout": 0.2}),
    fusion=ComponentCfg("early"),
    # The finest level has one convolution fewer: the last one is the head.
    decoder=ComponentCfg("unet", {"widths": _WIDTHS, "depths": [1, *_STAGE_DEPTHS[1:]], "dropout": 0.2}),
    head=ComponentCfg("conv", {"kernel_size": 3, "transposed": True}),
    num_classes=2,
    mean=OTHER_MEAN,
    std=OTHER_STD,
    paper=PAPER,
    original=ORIGINAL,
    citation=CITATION,
    recipe="fc_siam",
)


@register_model
def fc_ef(**changes: Any) -> ModelCfg:
    """FC-EF: early fusion, one U-Net on the bands of both dates."""
    return replace(_FC, name="fc_ef", **{"description": "FC-EF: one U-Net on the bands of both dates", **changes})


@register_model
def fc_siam_conc(**changes: Any) -> ModelCfg:
    """FC-Siam-Conc: Siamese encoder, skip connections of both dates."""
    fusion = ComponentCfg("skips", {"mode": "concat"})
    description = "FC-Siam-Conc: Siamese U-Net, skip connections of both dates"
    return replace(_FC, name="fc_siam_conc", fusion=fusion, **{"description": description, **changes})


@register_model
def fc_siam_diff(**changes: Any) -> ModelCfg:
    """FC-Siam-Diff: Siamese encoder, skip connections of the absolute difference of the dates."""
    fusion = ComponentCfg("skips", {"mode": "abs_diff"})
    description = "FC-Siam-Diff: Siamese U-Net, skip connections of |x1 - x2|"
    return replace(_FC, name="fc_siam_diff", fusion=fusion, **{"description": description, **changes})


@register_model
def fc_ef_oscd(**changes: Any) -> ModelCfg:
    """FC-EF for the 13 bands of Sentinel-2."""
    return _sentinel_2(fc_ef(), "FC-EF", changes)


@register_model
def fc_siam_conc_oscd(**changes: Any) -> ModelCfg:
    """FC-Siam-Conc for the 13 bands of Sentinel-2."""
    return _sentinel_2(fc_siam_conc(), "FC-Siam-Conc", changes)


@register_model
def fc_siam_diff_oscd(**changes: Any) -> ModelCfg:
    """FC-Siam-Diff for the 13 bands of Sentinel-2."""
    return _sentinel_2(fc_siam_diff(), "FC-Siam-Diff", changes)


def _sentinel_2(config: ModelCfg, title: str, changes: dict[str, Any]) -> ModelCfg:
    description = f"{title} for OSCD (Sentinel-2, 13 bands)"
    return replace(config, name=f"{config.name}_oscd", in_chans=13, **{"description": description, **changes})


_NAMES = {"conv": "conv", "norm": "bn"}


def _official_key(key: str) -> str:
    """`conv` and `bn` are numbered by stage and position; the decoder counts positions in reverse."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.(\d)\.(conv|norm)\.(\w+)", key):
        stage, place, layer, kind = match.groups()
        return f"{_NAMES[layer]}{int(stage) + 1}{int(place) + 1}.{kind}"
    if match := re.fullmatch(r"decoder\.stages\.(\d)\.(\d)\.(conv|norm)\.(\w+)", key):
        stage, place, layer, kind = match.groups()
        return f"{_NAMES[layer]}{int(stage) + 1}{_STAGE_DEPTHS[int(stage)] - int(place)}d.{kind}"
    if match := re.fullmatch(r"decoder\.ups\.(\d)\.(\w+)", key):
        return f"upconv{int(match[1]) + 1}.{match[2]}"
    return key.replace("head.classify.", "conv11d.")


register_key_map(KeyMap(("fc_ef*", "fc_siam_*"), _official_key, "rcdaudt/fully_convolutional_change_detection"))

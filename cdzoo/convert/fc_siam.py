"""Parameter names of FC-EF, FC-Siam-Conc and FC-Siam-Diff."""

from __future__ import annotations

import re

from cdzoo.convert.family import Family, register_family

_DEPTHS = (2, 2, 3, 3)
_NAMES = {"conv": "conv", "norm": "bn"}


def _official_key(key: str) -> str:
    """`conv` and `bn` are numbered by stage and by place from the image on; the decoder counts the places backwards."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.(\d)\.(conv|norm)\.(\w+)", key):
        stage, place, layer, kind = match.groups()
        return f"{_NAMES[layer]}{int(stage) + 1}{int(place) + 1}.{kind}"
    if match := re.fullmatch(r"decoder\.stages\.(\d)\.(\d)\.(conv|norm)\.(\w+)", key):
        stage, place, layer, kind = match.groups()
        return f"{_NAMES[layer]}{int(stage) + 1}{_DEPTHS[int(stage)] - int(place)}d.{kind}"
    if match := re.fullmatch(r"decoder\.ups\.(\d)\.(\w+)", key):
        return f"upconv{int(match[1]) + 1}.{match[2]}"
    return key.replace("head.classify.", "conv11d.")


register_family(Family(("fc_ef*", "fc_siam_*"), _official_key, "rcdaudt/fully_convolutional_change_detection"))

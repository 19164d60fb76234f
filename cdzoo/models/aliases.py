"""Aliases of models for the data sets that their papers report."""

from __future__ import annotations

from typing import Any

from cdzoo.registry import MODELS

_DATASETS = {
    "cdd": "CDD (seasons, many kinds of change)",
    "dsifn": "DSIFN-CD (Chinese cities, 2 m)",
    "gz": "GZ-CD (suburbs of Guangzhou)",
    "levir": "LEVIR-CD (buildings, 0.5 m)",
    "levir_plus": "LEVIR-CD+ (buildings, 0.5 m)",
    "sysu": "SYSU-CD (many kinds of change, 0.5 m)",
    "whu": "WHU-CD (buildings, 0.2 m)",
}


def alias_dataset(prefix: str, dataset: str, target: str, title: str, **changes: Any) -> None:
    """Register `PREFIX_DATASET` as an alias of a model that describes itself as made for the data set.

    Args:
        prefix: First part of the alias.
        dataset: Short name of the data set.
        target: Registered model.
        title: First words of the description.
        **changes: Further fields of `ModelCfg` to change.
    """
    MODELS.alias(f"{prefix}_{dataset}", target, description=f"{title} for {_DATASETS[dataset]}", **changes)

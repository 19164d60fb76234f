"""`WeightsSummary`: name, training data and scores of the weights of a model, for people who read its maps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdzoo.errors import CdzooError
from cdzoo.inference.exported import Metadata
from cdzoo.inference.model import PairModel
from cdzoo.results import RESULTS_FILE, Results
from cdzoo.weights.pretrained import PretrainedCfg

_GENERATED = ("synthetic", "generated")
_SHOWN = ("f1", "precision", "recall")
_SPLITS = {"val": "validation"}
_SOURCES = {"measured": "measured with cdzoo", "quoted": "quoted from a publication"}


@dataclass(frozen=True)
class WeightsSummary:
    """Origin of the weights of a model, and what is known about their quality.

    Attributes:
        name: Tag, folder, file or repository without local folders; empty for weights that were not loaded from a file.
        sha256: Hash of the weights file.
        data: Training data; empty if unknown.
        scores: Scores in [0, 1] by name.
        measured: What the scores were measured on.
        zero_shot: Score on real images of weights that were trained on generated ones.
    """

    name: str = ""
    sha256: str = ""
    data: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    measured: str = ""
    zero_shot: str = ""

    @property
    def warning(self) -> str:
        """Why a map made with these weights should not be relied on; empty if nothing is known against them."""
        if not self.name:
            return (
                "The weights of this model were not loaded from a file. Unless it was trained in the same program, they are "
                "random, and this map means nothing."
            )
        if any(word in self.data.lower() for word in _GENERATED):
            score = f" Measured on real images: {self.zero_shot}." if self.zero_shot else ""
            return (
                f"These are demo weights, trained on computer-generated scenes only. Expect many errors on real images.{score} "
                "Train on pairs of your own before you rely on a map."
            )
        return "" if self.scores else "No measured score of these weights was found, so the quality of this map is unknown."


def summarize_weights(model: PairModel) -> WeightsSummary:
    """Return what is known about the weights of a model: from their description if they are published, or from `results.json`."""
    origin, published = model.origin, model.pretrained_cfg
    if origin is None:
        return WeightsSummary()
    if published is not None:
        return _published(published, origin.sha256)
    # A folder of the user may be private; its name is enough to find it.
    is_local = os.path.exists(origin.name)
    name = Path(os.path.abspath(origin.name)).name if is_local else origin.name
    if isinstance(metadata := getattr(model, "metadata", None), Metadata):
        return _exported(metadata, name, origin.sha256)
    try:
        results = Results.read(Path(origin.name) / RESULTS_FILE)
    except CdzooError:  # none, or not readable
        return WeightsSummary(name, origin.sha256)
    if results.weights_sha256 not in (None, origin.sha256):  # of other weights
        return WeightsSummary(name, origin.sha256)
    scores = results.scores
    found = {key: float(getattr(scores, key)) for key in _SHOWN} | dict(list(scores.further.items())[:1])
    split = _SPLITS.get(results.split, results.split)
    measured = f"{scores.positive} on the {split} split of {_data_name(results.data)}, {scores.images:,} images"
    trained = (results.trained or {}).get("data", results.data)
    return WeightsSummary(name, origin.sha256, _data_name(trained), found, measured)


def _exported(metadata: Metadata, name: str, sha256: str) -> WeightsSummary:
    given = metadata.weights or {}
    scores = given.get("scores") or {}
    found = {key: float(scores[key]) for key in _SHOWN if isinstance(scores.get(key), int | float)}
    return WeightsSummary(name, sha256, _data_name(given["data"]) if given.get("data") else "", found, "before export")


def _published(cfg: PretrainedCfg, sha256: str) -> WeightsSummary:
    scores = {name: cfg.metrics[name] for name in _SHOWN if name in cfg.metrics}
    further = [name for name in cfg.metrics if name not in (*_SHOWN, "iou")]
    scores |= {name: cfg.metrics[name] for name in further[:1]}
    measured = f"test split, protocol {cfg.protocol}, {_SOURCES[cfg.provenance]}" if cfg.protocol else _SOURCES[cfg.provenance]
    return WeightsSummary(cfg.name, sha256, cfg.dataset, scores, measured, cfg.zero_shot)


def _data_name(data: Any) -> str:
    """Return the name of a data set or of the folder of one."""
    if isinstance(data, Mapping):
        data = data.get("data")
    return Path(str(data)).name if data else "unknown data"

"""Description of the file that a model is exported to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdzoo._version import __version__
from cdzoo.errors import CdzooError
from cdzoo.inference.exported import KEY, Metadata
from cdzoo.inference.resolve import resolve_threshold
from cdzoo.results import RESULTS_FILE, Results

__all__ = ["KEY", "PT2_FILE", "Metadata", "describe"]

if TYPE_CHECKING:
    from cdzoo.export.config import ExportCfg
    from cdzoo.export.sizes import FileSizes
    from cdzoo.models.detector import ChangeDetector

PT2_FILE = "cdzoo.json"
"""Name of the JSON in a `.pt2` file."""


def describe(model: ChangeDetector, cfg: ExportCfg, sizes: FileSizes) -> Metadata:
    """Return the description of the file that a model is exported to, without errors."""
    config = model.config
    return Metadata(
        version=__version__,
        config=json.loads(json.dumps(config.to_dict())),  # as it is read
        weights=_weights(model),
        bands=model.bands,
        mean=config.mean,
        std=config.std,
        threshold=resolve_threshold(model, None),
        normalized=cfg.normalize,
        probabilities=cfg.probabilities,
        task=model.task.name,
        class_names=tuple(model.task.class_names),
        num_classes=model.num_classes,
        pad_multiple=sizes.multiple,
        input_sizes=dataclasses.asdict(sizes.accepted),
        local=model.local,
        precision=cfg.precision,
        min_size=sizes.smallest,
        batch=cfg.batch,
    )


def _weights(model: ChangeDetector) -> dict[str, Any] | None:
    origin, published = model.origin, model.pretrained_cfg
    if origin is None:
        return None
    folder = Path(origin.name)
    name = folder.resolve().name if folder.is_dir() else origin.name  # files are passed on, paths of this machine are not
    weights: dict[str, Any] = {"name": name, "sha256": origin.sha256, "data": "", "scores": {}}
    if published is not None:
        scores = {"data": published.dataset, "scores": dict(published.metrics)}
        return {**weights, **scores, "published": dataclasses.asdict(published)}
    try:
        results = Results.read(folder / RESULTS_FILE)
    except CdzooError:  # none, or not readable
        return weights
    data = results.protocol.protocol.get("dataset", "") if results.protocol is not None else ""
    return {**weights, "data": data, "scores": {"f1": results.scores.f1}}

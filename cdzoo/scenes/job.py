"""`SceneJob`: inputs and settings that determine the map of a scene."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cdzoo._version import __version__
from cdzoo.models.detector import ChangeDetector
from cdzoo.scenes.config import SceneCfg
from cdzoo.scenes.raster import RasterSource


@dataclass(frozen=True)
class SceneJob:
    """Inputs and settings of a prediction. Equal jobs write equal files.

    Attributes:
        tags: Metadata of the maps, without local paths.
        files: Absolute path, size in bytes and modification time in nanoseconds of both dates.
        settings: Settings.
        threshold: Minimum probability for a pixel to count as changed.
        with_probability: Whether the probability is stored.
    """

    tags: dict[str, str]
    files: tuple[tuple[str, int, int], ...]
    settings: SceneCfg
    threshold: float
    with_probability: bool

    def to_json(self) -> str:
        """Return everything that affects the output, as JSON."""
        data = dataclasses.asdict(self)
        for name in ("progress", "threshold"):  # without effect; resolved in `threshold` above
            del data["settings"][name]
        return json.dumps(data, indent=2, sort_keys=True) + "\n"


def scene_job(
    model: ChangeDetector, before: RasterSource, after: RasterSource, cfg: SceneCfg, threshold: float, with_probability: bool
) -> SceneJob:
    """Return the job of predicting the change between two rasters; the other arguments are those of `SceneJob`."""
    tags = {
        "cdzoo": __version__,
        "model": model.config.name,
        "weights_sha256": state_hash(model.state_dict()),
        "threshold": f"{threshold:g}",
        "tile": f"{cfg.tile}, overlap {cfg.overlap}",
        "augment": cfg.augment,
        "before": Path(before.path).name,
        "after": Path(after.path).name,
        "values_before": before.values,
        "values_after": after.values,
    }
    if model.pretrained_cfg is not None:
        tags["weights"] = model.pretrained_cfg.name
    files = [(path.resolve(), path.stat()) for path in (Path(before.path), Path(after.path))]
    identities = tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in files)
    return SceneJob(tags, identities, cfg, threshold, with_probability)


def state_hash(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of the names and values of a state dict."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

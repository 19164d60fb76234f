"""`SceneJob`: inputs and settings that determine the map of a scene."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo._version import __version__
from cdzoo.errors import printable
from cdzoo.inference.blocks import WindowGrid
from cdzoo.inference.model import PairModel
from cdzoo.inference.onnx import OnnxModel
from cdzoo.io.files import PathLike, file_sha256
from cdzoo.io.objects import is_remote
from cdzoo.models.detector import ChangeDetector
from cdzoo.scenes.area import Area
from cdzoo.scenes.config import SceneCfg
from cdzoo.scenes.image_cache import CachedImage
from cdzoo.scenes.inputs import input_hashes
from cdzoo.scenes.raster import RasterSource
from cdzoo.weights.values import state_hash

_VERSIONED = {"cdzoo", "torch", "torchvision", "timm"}  # packages whose code changes with their version only


@dataclass(frozen=True)
class SceneJob:
    """Inputs and settings of a prediction. Equal jobs write equal files.

    Attributes:
        tags: Metadata of the maps, without local paths.
        files: Name and sha256 of the files of both dates, and of their cloud masks.
        model: Hash of the config, the parts and the code of the model that are not in the package; of an exported file, its hash.
        settings: Settings.
        threshold: Minimum probability for a pixel to count as changed.
        with_probability: Whether the probability is stored.
        grid: Size and location of the map, as text.
    """

    tags: dict[str, str]
    files: tuple[list[tuple[str, str]], ...]
    model: str
    settings: SceneCfg
    threshold: float
    with_probability: bool
    grid: str = ""

    def to_json(self) -> str:
        """Return everything that affects the output, as JSON."""
        data = dataclasses.asdict(self)
        for name in ("style", "progress", "threshold"):  # without effect on the map; resolved in `threshold` above
            del data["settings"][name]
        return json.dumps(data, indent=2, sort_keys=True) + "\n"

    def sha256(self, products: Mapping[str, Any]) -> str:
        """Return the sha256 of the job and of the settings of what is made from the map."""
        return hashlib.sha256((self.to_json() + json.dumps(products, sort_keys=True)).encode()).hexdigest()


def scene_job(
    model: PairModel,
    before: RasterSource,
    after: RasterSource,
    grid: WindowGrid,
    cfg: SceneCfg,
    threshold: float,
    with_probability: bool,
) -> SceneJob:
    """Return the job of predicting the change between two rasters; the other arguments are those of `SceneJob`."""
    tags = {
        "cdzoo": __version__,
        "model": model.config.name,
        **_weights_tags(model),
        "threshold": f"{threshold:g}",
        "tile": f"{grid.tile}, overlap {grid.overlap}",
        "augment": cfg.augment,
        **({} if cfg.scale == 1 else {"scale": f"{cfg.scale:g}"}),
        "before": Path(before.path).name,
        "after": Path(after.path).name,
        "values_before": before.values,
        "values_after": after.values,
    }
    if before.calibration is not None:
        tags |= {"reflectance_before": before.reflectance, "reflectance_after": after.reflectance}
    if after.shift is not None:
        tags["aligned"] = f"{after.shift.text} ({after.shift.agreeing} of {after.shift.windows} windows)"
    if model.task.has_legend:
        tags["task"] = model.task.name
    if model.pretrained_cfg is not None:
        tags["weights"] = model.pretrained_cfg.name
    masks = {name: source.mask for name, source in (("before", before), ("after", after)) if source.mask is not None}
    tags |= {f"mask_{name}": mask.text for name, mask in masks.items()}
    tags = {name: printable(value) for name, value in tags.items()}
    place = before.grid.text if before.area is None else before.area.text
    files = (input_hashes(before.path), input_hashes(after.path), *(input_hashes(mask.path) for mask in masks.values()))
    return SceneJob(tags, files, _model_hash(model), cfg, threshold, with_probability, place)


def request_hash(
    model: PairModel,
    images: Sequence[PathLike],
    remote: Sequence[CachedImage],
    cfg: SceneCfg,
    threshold: float,
    area: Area | None,
    products: Mapping[str, Any],
) -> str | None:
    """Return the hash of what determines the outputs of a scene of remote images, before these are read.

    Args:
        model: The model.
        images: Both dates.
        remote: The remote ones of them.
        cfg: Settings.
        threshold: Minimum probability.
        area: Part of the scene.
        products: As for `SceneJob.sha256`.

    Returns:
        None if it is not known whether a remote image has changed.
    """
    if any(image.key is None for image in remote):
        return None
    keys = [(image.name, str(image.key)) for image in remote]
    local = [input_hashes(image) for image in images if not is_remote(image)]
    tags = {"cdzoo": __version__, "order": str([is_remote(image) for image in images]), **_weights_tags(model)}
    place = "" if area is None else area.text
    return SceneJob(tags, (keys, *local), _model_hash(model), cfg, threshold, False, place).sha256(products)


def _weights_tags(model: PairModel) -> dict[str, str]:
    if isinstance(model, OnnxModel):
        tags = {"model_file": model.path.name, "model_file_sha256": model.sha256}
        # The name of other weights may be a local path.
        return tags if model.origin is None else {**tags, "weights_sha256": model.origin.sha256}
    assert isinstance(model, ChangeDetector)
    return {"weights_sha256": state_hash(model.state_dict())}


def _model_hash(model: PairModel) -> str:
    """Return the sha256 of what a model computes with its weights: its config, task, modules, and the code of foreign ones."""
    if isinstance(model, OnnxModel):
        return model.sha256
    assert isinstance(model, ChangeDetector)
    sources = {
        file
        for kind in {type(model.task), *(type(module) for module in model.modules())}
        if kind.__module__.partition(".")[0] not in _VERSIONED and (file := _source(kind)) is not None
    }
    text = f"{model.config} {model} {model.task.maps} {sorted(file_sha256(file) for file in sources)}"
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()  # addresses of functions


def _source(kind: type) -> str | None:
    try:
        return inspect.getsourcefile(kind)
    except (TypeError, OSError):  # defined in a shell or a built-in module
        return None

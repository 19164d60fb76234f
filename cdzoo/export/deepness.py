"""Files for Deepness, a plugin of QGIS that applies ONNX models to one raster (github.com/PUTvision/qgis-plugin-deepness).

It takes models of one input (N, C, S, S) with S fixed, whose channels are the bands of the raster: here those of both dates, as
`cdzoo stack` writes them. It divides values by 255, subtracts `standardization_mean` and divides by `standardization_std`.
Outputs are probabilities: one channel is compared with the threshold; of several, those below the threshold become zero, and the
class is the largest. The keys below are read from the metadata of the file, each value as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from cdzoo.constants import WINDOW_SIDE
from cdzoo.data.datasets import DATASETS
from cdzoo.errors import ConfigError
from cdzoo.export.config import ExportCfg
from cdzoo.export.program import Deployed
from cdzoo.inference.resolve import resolve_threshold
from cdzoo.validation import config_dataclass

if TYPE_CHECKING:
    from cdzoo.models.detector import ChangeDetector

TASKS = ("binary", "multiclass")
IR_VERSION = 8
"""Of the ONNX format, the newest that the runtimes of Deepness read."""


@config_dataclass
class DeepnessCfg:
    """Settings that Deepness shows for a model, and lets its user change.

    Attributes:
        resolution: Centimeters per pixel at which QGIS reads the raster; by default that of the training data, as the
            network sees them.
        tiles_overlap: Overlap of neighboring tiles in percent.
        small_segment: Side in pixels of the median filter that removes small areas; 0 for none.
    """

    resolution: Annotated[float, Field(gt=0, le=1e6)] | None = None
    tiles_overlap: Annotated[int, Field(ge=0, le=80)] = 25
    small_segment: Annotated[int, Field(ge=0, le=100)] = 0


class Stacked(Deployed):
    """A model of one image, the normalized bands of both dates, that returns probabilities (N, C, S, S)."""

    def __init__(self, model: ChangeDetector, cfg: ExportCfg) -> None:
        super().__init__(model, cfg)
        self.input_names = ["image"]

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        """Return the probabilities of `image` (N, bands of all dates, S, S)."""
        return super().forward(*torch.split(images[0], list(self.model.bands), 1))

    def images(self, height: int, width: int, batch: int) -> tuple[Tensor, ...]:
        """Return an image for a check."""
        return (torch.cat(super().images(height, width, batch), 1),)


def deepness_options(model: ChangeDetector, cfg: ExportCfg) -> ExportCfg:
    """Return the options of the file that Deepness takes.

    Raises:
        ConfigError: The task is neither binary nor multiclass; or an option contradicts what Deepness reads.
    """
    if model.task.name not in TASKS:
        raise ConfigError(
            f"Deepness shows the tasks {' and '.join(TASKS)}, not '{model.task.name}': use cdzoo predict, or cdzoo export "
            "without --for"
        )
    if cfg.normalize:
        raise ConfigError("Deepness normalizes images itself: leave out --normalize")
    if cfg.ir_version > IR_VERSION:
        raise ConfigError(f"Deepness reads files of IR version {IR_VERSION}: leave out --ir-version")
    size = cfg.size or model.fixed_input_size or _default_size(model)
    return ExportCfg(probabilities=True, precision=cfg.precision, size=size, batch=cfg.batch, opset=cfg.opset)


def deepness_metadata(model: ChangeDetector, cfg: ExportCfg, settings: DeepnessCfg) -> dict[str, str]:
    """Return the metadata that Deepness reads.

    Args:
        model: The model.
        cfg: Options of the file.
        settings: Settings.

    Raises:
        ConfigError: The resolution is neither given nor known from the training data.
    """
    names = model.task.class_names
    several = bool(model.task.probability_names)
    values: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": dict(enumerate(names)),
        "resolution": settings.resolution or _training_resolution(model) / model.config.input_scale,
        "tile_size": cfg.size,
        "tiles_size": cfg.size,  # the name in its documentation
        "tiles_overlap": settings.tiles_overlap,
        "standardization_mean": [value for bands in model.bands for value in _per_band(model.config.mean, bands)],
        "standardization_std": [value for bands in model.bands for value in _per_band(model.config.std, bands)],
        # A threshold for each class would leave pixels in which kinds of change share the probability without change.
        "seg_thresh": 0.0 if several else resolve_threshold(model, None),
        "seg_small_segment": settings.small_segment,
    }
    return {key: json.dumps(value) for key, value in values.items()}


def _per_band(values: tuple[float, ...], bands: int) -> list[float]:
    return list(values) * bands if len(values) == 1 else list(values)


def _default_size(model: ChangeDetector) -> int:
    multiple = max(model.window_multiple, model.size_multiple)
    return -(-WINDOW_SIDE // multiple) * multiple


def _training_resolution(model: ChangeDetector) -> float:
    """Return the centimeters per pixel of the data that the weights were trained on."""
    published = model.pretrained_cfg
    info = None if published is None else DATASETS.get(published.dataset)
    try:
        return 100 * float(info.resolution)  # type: ignore[union-attr]
    except (AttributeError, ValueError):  # not known, or a range
        known = f"; the weights were trained on {info.resolution} m" if info is not None else ""
        raise ConfigError(
            f"pass the centimeters per pixel at which QGIS is to read the raster, for example --resolution 50{known}"
        ) from None

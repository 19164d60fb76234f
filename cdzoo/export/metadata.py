"""`Metadata`: what an exported file says about itself, as JSON inside the file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdzoo._version import __version__
from cdzoo.config import ModelCfg
from cdzoo.errors import CdzooError, InputError
from cdzoo.inference.resolve import resolve_threshold
from cdzoo.results import RESULTS_FILE, Results

if TYPE_CHECKING:
    from cdzoo.export.config import ExportCfg
    from cdzoo.export.sizes import FileSizes
    from cdzoo.models.detector import ChangeDetector

KEY = "cdzoo"
"""Key of the JSON in the `metadata_props` of an ONNX file."""
PT2_FILE = "cdzoo.json"
"""Name of the JSON in a `.pt2` file."""


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Description of an exported file.

    Attributes:
        version: Version of cdzoo.
        config: `ModelCfg` of the model.
        weights: Name, sha256, training data and scores of the weights; None for random weights.
        bands: Number of bands of each date.
        mean: Mean of each band of images in [0, 1]; a single value applies to all bands.
        std: Standard deviation of each band.
        threshold: Minimum probability for a pixel to count as changed.
        normalized: Whether the file normalizes images in [0, 1] itself.
        probabilities: Whether the file returns probabilities, see `Task.probabilities`, instead of logits.
        task: Name of the task.
        class_names: Name of each class.
        num_classes: Number of logits of the main output.
        pad_multiple: Height and width of the images of the file are multiples of this.
        input_sizes: Sizes that the network takes, see `InputSizes`.
        local: Whether windows predict the same as the whole image.
        precision: fp32, fp16 or int8.
        error: Largest difference of each output from that of the model, as a share of its largest magnitude.
        min_size: Smallest height and width of the images of the file.
        batch: Number of pairs of the file; None if it is free.
    """

    version: str
    config: dict[str, Any]
    weights: dict[str, Any] | None
    bands: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    threshold: float
    normalized: bool
    probabilities: bool
    task: str
    class_names: tuple[str, ...]
    num_classes: int
    pad_multiple: int
    input_sizes: dict[str, Any]
    local: bool
    precision: str
    error: dict[str, float] = dataclasses.field(default_factory=dict)
    min_size: int = 32
    batch: int | None = None

    def to_json(self) -> str:
        """Return JSON that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str, source: str = "the file") -> Metadata:
        """Read the output of `to_json`; unknown keys are ignored, so that newer files can be read.

        Raises:
            InputError: The text is not the description of an exported file.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, Mapping):
                raise TypeError("not an object")
            names = {field.name for field in dataclasses.fields(cls)} & data.keys()
            values: dict[str, Any] = {name: tuple(data[name]) if isinstance(data[name], list) else data[name] for name in names}
            return cls(**values)
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{source}: its metadata cannot be read ({error}); export the model again: cdzoo export") from error

    def model_config(self) -> ModelCfg:
        """Return the config of the model.

        Raises:
            ConfigError: It is invalid.
        """
        return ModelCfg.from_dict(self.config)


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
        return {**weights, "data": published.dataset, "scores": dict(published.metrics)}
    try:
        results = Results.read(folder / RESULTS_FILE)
    except CdzooError:  # none, or not readable
        return weights
    data = results.protocol.protocol.get("dataset", "") if results.protocol is not None else ""
    return {**weights, "data": data, "scores": {"f1": results.scores.f1}}

"""`Metadata`: what an exported file says about itself, as JSON inside the file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field

from cdzoo.config import Mean, ModelCfg, Std
from cdzoo.constants import MIN_SIZE
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.sizes import InputSizes
from cdzoo.validation import MAX_INTEGER, config_dataclass
from cdzoo.weights.origin import Origin
from cdzoo.weights.pretrained import PretrainedCfg

KEY = "cdzoo"
"""Key of the JSON in the `metadata_props` of an ONNX file."""
Precision = Literal["fp32", "fp16", "int8"]
_Count = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
_AGAIN = "export the model again: cdzoo export MODEL -o model.onnx"


@config_dataclass
class Metadata:
    """Description of an exported file.

    Attributes:
        version: Version of cdzoo.
        config: `ModelCfg` of the model.
        weights: Name, sha256, training data (`data`) and scores of the weights, and their `PretrainedCfg` (`published`) if they
            have one; None for random weights.
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
    bands: tuple[_Count, ...]
    mean: tuple[Mean, ...]
    std: tuple[Std, ...]
    threshold: Annotated[float, Field(gt=0, lt=1)]
    normalized: bool
    probabilities: bool
    task: str
    class_names: tuple[str, ...]
    num_classes: _Count
    pad_multiple: _Count
    input_sizes: dict[str, Any]
    local: bool
    precision: Precision
    error: dict[str, float] = field(default_factory=dict)
    min_size: _Count = MIN_SIZE
    batch: _Count | None = None

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
            if not isinstance(data, dict):
                raise ConfigError("not an object")
            known = {one.name for one in dataclasses.fields(cls)}
            found = cls(**{name: value for name, value in data.items() if name in known})
            _ = found.model_config(), found.sizes, found.origin, found.pretrained_cfg
            return found
        except (ValueError, TypeError, KeyError, RecursionError, CdzooError) as error:
            raise InputError(f"{source}: its metadata cannot be read ({error}); {_AGAIN}") from error

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], source: str) -> Metadata:
        """Read the metadata of an ONNX file.

        Raises:
            InputError: They are not those of a file of cdzoo.
        """
        if KEY not in properties:
            raise InputError(
                f"{source}: has no metadata of cdzoo, so its bands, normalization and classes are not known; write it with: "
                "cdzoo export MODEL -o model.onnx"
            )
        return cls.from_json(properties[KEY], source)

    def model_config(self) -> ModelCfg:
        """Return the config of the model.

        Raises:
            ConfigError: It is invalid.
        """
        return ModelCfg.from_dict(self.config)

    @property
    def sizes(self) -> InputSizes:
        """Sizes of images that the network takes."""
        given = self.input_sizes
        fixed, multiple, square = given.get("fixed"), given.get("multiple", 1), given.get("square", False)
        lengths = [length for length in (fixed, multiple) if length is not None]
        if not all(type(length) is int and 1 <= length <= MAX_INTEGER for length in lengths) or not isinstance(square, bool):
            raise ConfigError(f"input_sizes must be lengths in pixels, got {given}")
        return InputSizes(fixed, multiple, square)

    @property
    def origin(self) -> Origin | None:
        """Where the weights come from; None for newly initialized ones."""
        return None if self.weights is None else Origin(str(self.weights["name"]), str(self.weights["sha256"]))

    @property
    def pretrained_cfg(self) -> PretrainedCfg | None:
        """Description of the weights; None for those that are not published."""
        published = (self.weights or {}).get("published")
        return None if published is None else PretrainedCfg(**published)

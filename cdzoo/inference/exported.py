"""`ExportInfo`: what an exported file says about its model, as JSON in its metadata."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import Field

from cdzoo.config import ModelCfg
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.sizes import InputSizes
from cdzoo.validation import MAX_INTEGER, config_dataclass
from cdzoo.weights.origin import Origin
from cdzoo.weights.pretrained import PretrainedCfg

METADATA_KEY = "cdzoo"
_Length = Annotated[int, Field(ge=1, le=MAX_INTEGER)]


@config_dataclass
class ExportInfo:
    """Description of an exported model.

    Attributes:
        version: Version of cdzoo that wrote the file.
        config: Description of the model.
        pad_multiple: Images are padded to multiples of this, see `pad_edges`.
        window_multiple: Windows of larger images start at multiples of this; 0 for `pad_multiple`.
        fixed: Height and width that the file takes; None if it takes others.
        multiple: Heights and widths must be multiples of this.
        square: Whether height and width must be equal.
        local: Whether a logit depends only on a neighborhood of its pixel.
        normalized: Whether the file normalizes its inputs itself, which are values in [0, 1] then.
        probabilities: Whether the output is that of `Task.probabilities` instead of logits.
        precision: `fp32`, `fp16` or `int8`.
        threshold: Minimum probability for a pixel to count as changed.
        bands: Names of the bands of each date; empty if they are not known.
        weights: Description of the weights; None for newly initialized ones.
        error: Largest error of each output against PyTorch, relative to its largest magnitude.
    """

    version: str
    config: ModelCfg
    pad_multiple: _Length
    window_multiple: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0
    fixed: _Length | None = None
    multiple: _Length = 1
    square: bool = False
    local: bool = True
    normalized: bool = False
    probabilities: bool = False
    precision: str = "fp32"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    bands: tuple[str, ...] = ()
    weights: dict[str, Any] | None = None
    error: dict[str, float] = field(default_factory=dict)

    @property
    def input_sizes(self) -> InputSizes:
        """Sizes of images that the file takes after padding."""
        return InputSizes(self.fixed, self.multiple, self.square)

    @property
    def origin(self) -> Origin | None:
        """Where the weights come from."""
        return Origin(str(self.weights["name"]), str(self.weights["sha256"])) if self.weights else None

    @property
    def pretrained_cfg(self) -> PretrainedCfg | None:
        """Description of published weights; None for other weights."""
        known = {one.name for one in dataclasses.fields(PretrainedCfg)}
        values = {name: value for name, value in (self.weights or {}).items() if name in known}
        return PretrainedCfg(**values) if "tag" in values else None


def read_info(source: str, metadata: Mapping[str, str]) -> ExportInfo:
    """Return the description of an exported model.

    Args:
        source: File, for messages.
        metadata: Metadata of the file.

    Raises:
        InputError: The file was not written by cdzoo, or its description is damaged.
    """
    if METADATA_KEY not in metadata:
        raise InputError(
            f"{source}: has no metadata of cdzoo, so its bands, normalization and classes are not known; write the file with: "
            "cdzoo export MODEL -o model.onnx"
        )
    try:
        return _info(json.loads(metadata[METADATA_KEY]))
    except (ValueError, TypeError, KeyError, RecursionError, CdzooError) as error:
        raise InputError(
            f"{source}: its metadata of cdzoo cannot be used ({error}); export the model again, with this version: cdzoo export "
            "MODEL -o model.onnx"
        ) from error


def _info(data: Any) -> ExportInfo:
    if not isinstance(data, dict):
        raise ConfigError("not a JSON object")
    values = {**data, **data.get("input_sizes", {}), "config": ModelCfg.from_dict(data["config"])}
    known = {one.name for one in dataclasses.fields(ExportInfo)}  # later versions may write more
    info = ExportInfo(**{name: value for name, value in values.items() if name in known})
    _ = info.origin, info.pretrained_cfg  # validated
    return info

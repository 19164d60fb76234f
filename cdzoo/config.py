"""`ModelCfg`: the complete description of a model as a flat dataclass with a JSON round trip."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import Field

from cdzoo.errors import ConfigError
from cdzoo.names import suggest
from cdzoo.validation import MAX_INTEGER, MAX_ITEMS, Scale, check_values, config_dataclass

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
OTHER_MEAN = (0.5,)
OTHER_STD = (0.25,)
"""Mean and standard deviation of every band of images that are not RGB, unless a config sets others."""

KINDS = ("backbone", "neck", "fusion", "decoder", "head")
ROLES = {**{kind: kind for kind in KINDS}, "branch_decoder": "decoder", "branch_head": "head"}
"""Kind of each component of a model; those of branches compute the further outputs of tasks with several outputs."""
OPTIONAL_ROLES = ("neck", "decoder", "branch_decoder")
INSTANCE = "instance:"
"""Prefix of the name of a component that was passed as an instance; such a config cannot be rebuilt."""

_Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
_Bands = _Positive | Annotated[tuple[_Positive, ...], Field(max_length=MAX_ITEMS)]
Mean = Annotated[float, Field(ge=-1000, le=1000)]
Std = Annotated[float, Field(ge=1e-6, le=1000)]
"""Mean and standard deviation of a band of images whose values are about 0 to 1."""


@config_dataclass
class ComponentCfg:
    """One component by name.

    Attributes:
        name: Registered name, or `timm/<encoder>` for a backbone.
        kwargs: Keyword arguments other than the channels and strides, which follow from the previous component. JSON values.
    """

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the arguments, and convert tuples to lists, so that a config equals its copy read from JSON."""
        for key, value in self.kwargs.items():
            check_values(f"component '{self.name}': argument '{key}'", value)
        object.__setattr__(self, "kwargs", _as_lists(self.kwargs))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | str) -> ComponentCfg:
        """Read `{"name": ..., "kwargs": {...}}` or a bare name."""
        return cls(data) if isinstance(data, str) else cls(**_checked(cls, "component", data))


@config_dataclass
class ModelCfg:
    """Architecture of a model: components, their arguments, and the expected input.

    Attributes:
        name: Registered model name.
        backbone: Encoder of each date.
        fusion: Combines the pyramids of the dates.
        head: Maps the decoded pyramid to logits.
        neck: Refines the pyramid of each date; None for no neck.
        decoder: Refines the fused pyramid; None for no decoder.
        in_chans: Number of bands of each date, or a tuple with one number per date. Different numbers require `siamese=False` or
            early fusion.
        num_classes: Number of logits; 1 is change or no change through a sigmoid.
        task: Meaning of the outputs, see `cdzoo.tasks`.
        class_names: Name of each class, see the task; those of the task by default.
        branch_decoder: Refines the pyramid of one date for each further output of the task; None for no decoder.
        branch_head: Maps it to the logits of that output, with weights shared between dates; None for tasks with one output.
        branch_shared: Whether the dates share one branch decoder.
        siamese: Whether the dates share one backbone.
        mean: Mean of each band, subtracted from values in [0, 1]; a single value applies to all bands.
        std: Standard deviation of each band; a single value applies to all bands.
        input_scale: Factor by which height and width of images are multiplied before the network, from 0.1 to 8. Prediction and
            evaluation bring the probabilities back to the size of the images.
        description: One-line description.
        paper: Title, venue and DOI of the source.
        license: SPDX identifier of this implementation.
        original: Official code of the network (`owner/repository`) with its license in parentheses; empty for our own networks.
        citation: BibTeX entry of the source.
        recipe: Training recipe with the settings of the paper: `cdzoo train --recipe NAME`.
    """

    name: str
    backbone: ComponentCfg
    fusion: ComponentCfg
    head: ComponentCfg
    neck: ComponentCfg | None = None
    decoder: ComponentCfg | None = None
    in_chans: _Bands = 3
    num_classes: _Positive = 1
    task: str = "binary"
    class_names: tuple[str, ...] = ()
    branch_decoder: ComponentCfg | None = None
    branch_head: ComponentCfg | None = None
    branch_shared: bool = True
    siamese: bool = True
    mean: tuple[Mean, ...] = IMAGENET_MEAN
    std: tuple[Std, ...] = IMAGENET_STD
    input_scale: Scale = 1.0
    description: str = ""
    paper: str = ""
    license: str = "Apache-2.0"
    original: str = ""
    citation: str = ""
    recipe: str = ""

    def __post_init__(self) -> None:
        """Validate the fields."""
        if isinstance(self.in_chans, tuple) and len(self.in_chans) < 2:
            raise ConfigError(f"in_chans must be one number, or one per date for two dates or more, got {self.in_chans}")
        for label, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 1 and any(len(values) != bands for bands in self.bands):
                raise ConfigError(f"{label} has {len(values)} values for in_chans={self.in_chans}: pass one per band, or one")

    @property
    def bands(self) -> tuple[int, ...]:
        """Number of bands of each date."""
        return self.in_chans if isinstance(self.in_chans, tuple) else (self.in_chans, self.in_chans)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return indented JSON that ends with a newline.

        Raises:
            ConfigError: A component was passed as an instance, or an argument is not a JSON value.
        """
        for role, kind in ROLES.items():
            component = getattr(self, role)
            if component is not None and component.name.startswith(INSTANCE):
                raise ConfigError(
                    f"the {role} was passed as an instance ({component.name.removeprefix(INSTANCE)}), which cannot be saved: "
                    f'decorate its class with @cdzoo.register_{kind} and pass {role}="its_name"'
                )
        try:
            return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the config of {self.name} contains a value that JSON does not support: {error}") from error

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelCfg:
        """Build a config from plain values.

        Raises:
            ConfigError: A key is unknown or missing, or a value is invalid.
        """
        values = _checked(cls, "model config", data)
        for role in ROLES:
            if values.get(role) is not None:
                try:
                    values[role] = ComponentCfg.from_dict(values[role])
                except ConfigError as error:
                    raise ConfigError(f"{role}: {error}") from error
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> ModelCfg:
        """Build a config from the output of `to_json`.

        Raises:
            ConfigError: The text is not a JSON object, or does not describe a model.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: no JSON, or a number of thousands of digits
            raise ConfigError(f"the model config is not valid JSON: {error}") from error
        return cls.from_dict(data)


@config_dataclass
class ModelOptions:
    """Options of `cdzoo.create_model` as plain values, for the command line and for run files.

    The fields are the keyword arguments of `create_model`.

    Attributes:
        model_name: Registered model, folder or `hf-hub:owner/name`.
        pretrained: Load its weights; true for the default ones, or a tag.
        checkpoint_path: Weights of the whole model: a safetensors file, or a checkpoint of a state dict.
        cache_dir: Cache folder of downloads.
        in_chans: Number of bands; one number per date: '[2, 3]'.
        num_classes: Number of logits; 1 is change or no change through a sigmoid.
        task: Meaning of the outputs: binary, multiclass, semantic or damage.
        class_names: Name of each class, as the task expects them.
        siamese: One backbone shared by the dates (true) or one for each (false).
        mean: Mean of each band of images in [0, 1].
        std: Standard deviation of each band.
        input_scale: Factor by which images are enlarged for the network, in training and prediction; below 1 they are reduced.
        backbone: Registered name, or timm/NAME.
        neck: Registered name, or none; that of the model by default.
        fusion: Registered name.
        decoder: Registered name, or none; that of the model by default.
        head: Registered name.
        branch_decoder: Decoder of the further outputs of a task: registered name, or none; that of the model by default.
        branch_head: Head of the further outputs of a task: registered name.
        branch_shared: Whether the dates share one branch decoder.
        backbone_kwargs: Arguments of the backbone, as JSON.
        neck_kwargs: Arguments of the neck, as JSON.
        fusion_kwargs: Arguments of the fusion, as JSON.
        decoder_kwargs: Arguments of the decoder, as JSON.
        head_kwargs: Arguments of the head, as JSON.
        branch_decoder_kwargs: Arguments of the branch decoder, as JSON.
        branch_head_kwargs: Arguments of the branch head, as JSON.
        backbone_pretrained: Load the weights of a timm encoder.
        backbone_weights: Weights of the backbone alone: a folder or file written by cdzoo convert.
    """

    model_name: str
    pretrained: bool | str = False
    checkpoint_path: str | None = None
    cache_dir: str | None = None
    in_chans: _Bands | None = None
    num_classes: _Positive | None = None
    task: str | None = None
    class_names: tuple[str, ...] | None = None
    siamese: bool | None = None
    mean: tuple[Mean, ...] | None = None
    std: tuple[Std, ...] | None = None
    input_scale: Scale | None = None
    backbone: str | None = None
    neck: str = "default"
    fusion: str | None = None
    decoder: str = "default"
    head: str | None = None
    branch_decoder: str = "default"
    branch_head: str | None = None
    branch_shared: bool | None = None
    backbone_kwargs: dict[str, Any] | None = None
    neck_kwargs: dict[str, Any] | None = None
    fusion_kwargs: dict[str, Any] | None = None
    decoder_kwargs: dict[str, Any] | None = None
    head_kwargs: dict[str, Any] | None = None
    branch_decoder_kwargs: dict[str, Any] | None = None
    branch_head_kwargs: dict[str, Any] | None = None
    backbone_pretrained: bool = False
    backbone_weights: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, as keyword arguments of `create_model`."""
        return {f.name: value for f in dataclasses.fields(self) if (value := getattr(self, f.name)) != f.default}


def __getattr__(name: str) -> Any:
    if name != "PartCfg":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    warnings.warn("cdzoo.config.PartCfg is deprecated, use ComponentCfg", DeprecationWarning, stacklevel=2)
    return ComponentCfg


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_lists(item) for item in value]
    return value


def _checked(cls: Any, label: str, data: Any) -> dict[str, Any]:
    """Return a copy of `data` after checking that it maps fields of `cls` to values."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"the {label} must be a mapping, got {type(data).__name__}")
    known = sorted(field.name for field in dataclasses.fields(cls))
    for key in data:
        if key not in known:
            raise ConfigError(f"unknown key '{key}' in the {label}.{suggest(str(key), known)} Keys: {', '.join(known)}")
    return dict(data)

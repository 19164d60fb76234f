"""`ModelCfg`: everything needed to build a model again, as a flat dataclass that round-trips through JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdzoo.errors import ConfigError
from cdzoo.registry import nearest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
OTHER_MEAN = (0.5,)
OTHER_STD = (0.25,)
"""Taken for every band of images that are not RGB, unless a recipe says otherwise."""


@dataclass(frozen=True)
class PartCfg:
    """One part by name.

    Attributes:
        name: Registered name, or `timm/<encoder>` for a backbone.
        kwargs: Keyword arguments beyond the channels, which come from the part before it. JSON values only.
    """

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold lists where tuples were given, as a file would, so that a config equals its copy read back."""
        object.__setattr__(self, "kwargs", _lists(self.kwargs))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | str) -> PartCfg:
        """Read `{"name": ..., "kwargs": {...}}` or a bare name."""
        if isinstance(data, str):
            return cls(data)
        _check_keys("part", data, {"name", "kwargs"}, required={"name"})
        return cls(data["name"], dict(data.get("kwargs", {})))


@dataclass(frozen=True)
class ModelCfg:
    """One recipe: which parts, with which arguments, for which input.

    Attributes:
        name: Registered model name that the recipe started from.
        backbone: Encoder of each date.
        fusion: How the two dates meet.
        head: How the pyramid becomes logits.
        neck: Refinement of each date's pyramid; None leaves it out.
        decoder: Refinement of the fused pyramid; None leaves it out.
        in_chans: Bands of each date, or a pair (first date, second date), which needs `siamese=False` or early fusion.
        num_classes: Channels of the logits; 1 means change against no change through a sigmoid.
        siamese: One backbone for both dates (True) or one for each (False).
        mean: Mean of each band, subtracted from values in [0, 1]; one value stands for all bands.
        std: Standard deviation of each band, in the same way.
        description: One line for people.
        paper: Title, venue and DOI of the source.
        license: SPDX identifier of this implementation.
        original: Official code of the network (`owner/repository`), its licence in brackets; empty when it is ours.
        citation: BibTeX entry of the source.
        recipe: Name of the training recipe that follows the paper; `cdzoo train --recipe NAME`.
    """

    name: str
    backbone: PartCfg
    fusion: PartCfg
    head: PartCfg
    neck: PartCfg | None = None
    decoder: PartCfg | None = None
    in_chans: int | tuple[int, int] = 3
    num_classes: int = 1
    siamese: bool = True
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    description: str = ""
    paper: str = ""
    license: str = "Apache-2.0"
    original: str = ""
    citation: str = ""
    recipe: str = ""

    def __post_init__(self) -> None:
        """Refuse what no model can be built from."""
        for kind in ("backbone", "fusion", "head"):
            if not isinstance(getattr(self, kind), PartCfg):
                raise ConfigError(f"a model needs a {kind}; only neck and decoder can be left out")
        bands = self.in_chans if isinstance(self.in_chans, tuple) else (self.in_chans, self.in_chans)
        if len(bands) != 2 or any(not isinstance(b, int) or b < 1 for b in bands):
            raise ConfigError(f"in_chans must be a positive integer or a pair of them, got {self.in_chans!r}")
        for label, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 1 and bands != (len(values), len(values)):
                raise ConfigError(f"{label} has {len(values)} values for in_chans={self.in_chans}: give one per band, or one")
        if any(value <= 0 for value in self.std):
            raise ConfigError(f"std must be positive, got {self.std}")

    @property
    def bands(self) -> tuple[int, int]:
        """Bands of the first and of the second date."""
        return self.in_chans if isinstance(self.in_chans, tuple) else (self.in_chans, self.in_chans)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return indented JSON, ending in a newline.

        Raises:
            ConfigError: A part was given as an instance or an argument is no JSON value, so that it cannot be rebuilt.
        """
        for kind in ("backbone", "neck", "fusion", "decoder", "head"):
            part = getattr(self, kind)
            if part is not None and part.name.startswith(INSTANCE):
                raise ConfigError(
                    f"the {kind} was given as an instance ({part.name.removeprefix(INSTANCE)}), which a file cannot hold: "
                    f'decorate its class with @cdzoo.register_{kind} and pass {kind}="its_name"'
                )
        try:
            return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the config of {self.name} holds a value that JSON cannot: {error}") from error

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelCfg:
        """Build from plain values.

        Raises:
            ConfigError: A key is unknown or missing, or a value is not usable.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        _check_keys("model config", data, known, required={"name", "backbone", "fusion", "head"})
        values = dict(data)
        for kind in ("backbone", "neck", "fusion", "decoder", "head"):
            if values.get(kind) is not None:
                values[kind] = PartCfg.from_dict(values[kind])
        for label in ("in_chans", "mean", "std"):
            if isinstance(values.get(label), list):
                values[label] = tuple(values[label])
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> ModelCfg:
        """Build from what `to_json` wrote.

        Raises:
            ConfigError: The text is no JSON object, or describes no model.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"the model config is no valid JSON: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"the model config must be a JSON object, got {type(data).__name__}")
        return cls.from_dict(data)


INSTANCE = "instance:"
"""Prefix of the name of a part that was handed in as an object; such a config is for reading, not for rebuilding."""


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(one) for one in value]
    return value


def _check_keys(what: str, data: Mapping[str, Any], known: set[str], required: set[str]) -> None:
    if not isinstance(data, Mapping):
        raise ConfigError(f"the {what} must be a mapping, got {type(data).__name__}")
    for key in data:
        if key not in known:
            raise ConfigError(f"unknown key '{key}' in the {what}.{nearest(str(key), known)} Keys: {', '.join(sorted(known))}")
    if missing := required - set(data):
        raise ConfigError(f"the {what} lacks {', '.join(sorted(missing))}")

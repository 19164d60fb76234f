"""`TrainedOptions`: ranges of values and bands that a run was trained with, for settings that have none."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdzoo.errors import CdzooError
from cdzoo.io.band_files import one_raster
from cdzoo.io.band_names import are_trained_bands, band_count
from cdzoo.io.files import PathLike
from cdzoo.io.objects import is_remote
from cdzoo.io.rasters import open_raster
from cdzoo.scenes.asset import remote_bands
from cdzoo.scenes.config import SceneCfg

_BANDS = ("bands", "bands_after")


@dataclass(frozen=True)
class TrainedOptions:
    """Options of the data that weights were trained on, see `trained_options`.

    Attributes:
        ranges: Those about values, such as `value_range`; empty if the training had none.
        bands: `bands` and `bands_after`, where the training had them.
    """

    ranges: Mapping[str, Any] = field(default_factory=dict)
    bands: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)

    def lacking(self, cfg: SceneCfg, image: PathLike) -> dict[str, Any]:
        """Return the options that settings lack for an image.

        Args:
            cfg: Settings. Ranges of their own, or bands, come first.
            image: First date: a raster, the files of its bands (`one_raster`), or the address of one. Its type and bands tell
                whether the options apply: ranges to more than 8 bits, bands to other ones than those of the model.

        Raises:
            InputError: A remote image cannot be read. A local one has no options then; its error comes with the prediction.
        """
        own_ranges = cfg.reflectance != "none" or any(getattr(cfg, name) is not None for name in self.ranges)
        ranges = {} if own_ranges else self.ranges
        # Bands of the first date are those of both.
        bands = {} if cfg.bands is not None else {name: own for name, own in self.bands.items() if getattr(cfg, name) is None}
        if not ranges and not bands:
            return {}
        try:
            names, kind = _described(image)
        except CdzooError:
            if is_remote(image):
                raise
            return {}
        found = {name: value for name, value in ranges.items() if value is not None and kind != "uint8"}
        first = bands.get("bands")
        if first is None or are_trained_bands(names, first, band_count(first)):
            found |= bands
        return found


def trained_options(model: str) -> TrainedOptions:
    """Return the ranges and bands that are stored with a run; none for a model without results of a training.

    Args:
        model: Name of the model, or folder of a run.
    """
    from cdzoo.data.value_ranges import trained_options as of_values
    from cdzoo.results import RESULTS_FILE, Results

    file = Path(model.removeprefix("local-dir:")) / RESULTS_FILE
    try:
        stored = Results.read(file).data if file.is_file() else None
    except CdzooError:  # loading the model names what is wrong
        return TrainedOptions()
    if not isinstance(stored, dict):
        return TrainedOptions()
    return TrainedOptions(of_values(stored), {name: tuple(stored[name]) for name in _BANDS if stored.get(name)})


def with_trained(cfg: SceneCfg, trained: TrainedOptions, image: PathLike) -> tuple[SceneCfg, str]:
    """Return settings with the options of a training that they lack for an image, and these as text; empty if there are none."""
    found = trained.lacking(cfg, image)
    texts = (f"--{name.replace('_', '-')} {_text(value)}" for name, value in found.items())
    return dataclasses.replace(cfg, **found), " ".join(texts)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _described(image: PathLike) -> tuple[tuple[str | None, ...], str]:
    """Return the names of the bands of an image, and the type of its values."""
    if is_remote(image):
        return remote_bands(str(image))
    with one_raster(image) as raster, open_raster(raster, "predicting scenes") as source:
        return source.descriptions, source.dtypes[0]

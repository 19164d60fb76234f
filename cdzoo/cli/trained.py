"""`trained_values`: settings of `cdzoo predict` that follow the training of its model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdzoo.errors import CdzooError
from cdzoo.io.band_files import one_raster
from cdzoo.io.band_names import are_trained_bands, band_count
from cdzoo.io.rasters import open_raster

if TYPE_CHECKING:
    from cdzoo.scenes.config import SceneCfg


def trained_values(model: str, cfg: SceneCfg, image: str) -> SceneCfg:
    """Return settings with the ranges of values and the bands that a run was trained with, where none are given.

    Args:
        model: Name of the model, or folder of a run.
        cfg: Settings.
        image: First date, whose type and number of bands tell whether they apply: to more than 8 bits, and to other bands than
            those of the model.
    """
    from cdzoo.data.value_ranges import OPTIONS, trained_options
    from cdzoo.results import RESULTS_FILE, Results

    file = Path(model.removeprefix("local-dir:")) / RESULTS_FILE
    found: dict[str, Any] = {}
    try:
        if not file.is_file() or not isinstance(stored := Results.read(file).data, dict):
            return cfg
        with one_raster(image) as raster, open_raster(raster) as source:
            bands, kind = source.descriptions, source.dtypes[0]
    except CdzooError:  # one about the image comes with the prediction
        return cfg
    if cfg.reflectance == "none" and kind != "uint8" and all(getattr(cfg, name) is None for name in OPTIONS):
        found |= {name: value for name, value in trained_options(stored).items() if value is not None}
    names = {name: tuple(stored[name]) for name in ("bands", "bands_after") if stored.get(name)}
    if names and cfg.bands is cfg.bands_after is None and are_trained_bands(bands, names["bands"], band_count(names["bands"])):
        found |= names
    if found:
        texts = {name: " ".join(map(str, value)) if isinstance(value, tuple) else value for name, value in found.items()}
        shown = (f"--{name.replace('_', '-')} {text}" for name, text in texts.items())
        print(f"as in the training of {model}: {' '.join(shown)}")
    return dataclasses.replace(cfg, **found)

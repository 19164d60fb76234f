"""`Detection`: change between one pair of images, shown and written for any threshold without running the network again."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import rasterio
from PIL import Image

from cdzoo.app.inputs import Values, prepare, shown
from cdzoo.inference.model import PairModel
from cdzoo.inference.weights import WeightsSummary, summarize_weights
from cdzoo.io.images import UInt8
from cdzoo.io.rasters import limited_cache
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.dates import opened_dates
from cdzoo.scenes.threshold import MapOverview, change_threshold, map_overview
from cdzoo.visualize import indexed_picture, mask_picture

SIDE = 1200
"""Longest side of the pictures that are shown, in pixels."""
_MAP = "change.tif"
_PROBABILITY = "probability.tif"


@dataclass
class Detection:
    """Change between two images.

    Attributes:
        model: Model that predicted it.
        dates: Files of both dates.
        folder: Folder of all of its files.
        cfg: Settings of the prediction.
        pictures: Both dates (h, w, 3) at the resolution at which they are shown.
        weights: Origin and scores of the weights.
        output: Folder of the files for one threshold. Another one has another folder, so that no browser takes old files for new.
        written: This threshold.
    """

    model: PairModel
    dates: tuple[Path, Path]
    folder: Path
    cfg: SceneCfg
    pictures: tuple[UInt8, UInt8]
    weights: WeightsSummary
    output: Path
    written: float

    def overview(self, threshold: float) -> MapOverview:
        """Return the statistics and the reduced maps at a threshold."""
        return map_overview(self.folder / _PROBABILITY, self.model.task, threshold, SIDE)

    def write(self, threshold: float) -> list[Path]:
        """Return all files for a threshold, which are written unless they are those of this threshold already.

        They are the map, further maps of the task, pictures of them, the probability, polygons, the report, and all of them in
        one archive, which also has the files in which GDAL and QGIS look for names and styles.
        """
        if threshold != self.written:
            output = Path(mkdtemp(dir=self.folder))
            options: dict[str, Any] = _products(output)
            change_threshold(self.model, *self.dates, self.folder / _PROBABILITY, output / _MAP, threshold, self.cfg, **options)
            shutil.rmtree(self.output, ignore_errors=True)
            self.output, self.written = output, threshold
            self._write_pictures()
        return self.files()

    def files(self) -> list[Path]:
        """Return the files as they were written last."""
        names = [_MAP, *(f"change_{name}.tif" for name in [*self.model.task.maps][1:])]
        names += [f"{Path(name).stem}.png" for name in names]
        names += [file.name for file in _products(self.output).values()]
        return [*(self.output / name for name in names), self.folder / _PROBABILITY, self.output / "all_files.zip"]

    def _write_pictures(self) -> None:
        """Write each map as a PNG, and the archive of all files."""
        task = self.model.task
        for name, file in zip(task.maps, self.files(), strict=False):
            with rasterio.open(file) as source:
                values = source.read(1)
            if task.has_legend:
                indexed_picture(values, task.maps[name].colors).save(file.with_suffix(".png"))
            else:
                Image.fromarray(mask_picture(values)[..., 0]).save(file.with_suffix(".png"))
        *files, archive = self.files()
        beside = [file for file in [*self.output.iterdir(), *self.folder.iterdir()] if file.suffix in (".xml", ".qml")]
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:  # all but small ones are compressed
            for file in [*files, *sorted(beside)]:
                target.write(file, file.name)


def detect(
    model: PairModel,
    before: Path,
    after: Path,
    folder: Path,
    values: Values,
    threshold: float,
    on_progress: Callable[[float], None],
) -> Detection:
    """Predict the change between two images and write its files for a threshold.

    Args:
        model: Model in evaluation mode.
        before: First date.
        after: Second date.
        folder: Empty folder for the files.
        values: How the values of the images are read.
        threshold: Minimum probability for a pixel to count as changed.
        on_progress: Called with the share of the scene, in [0, 1], that is predicted; what it raises stops the prediction.

    Raises:
        InputError: The images cannot be read, or do not match each other or the model.
    """
    cfg = values.scene_cfg((before, after), threshold)
    first, second = (
        prepare(path, folder / name, bands)
        for path, name, bands in zip((before, after), ("before", "after"), model.bands, strict=True)
    )
    output = Path(mkdtemp(dir=folder))
    options: dict[str, Any] = {**_products(output), "probability": folder / _PROBABILITY}
    predict_scene(model, first, second, output / _MAP, cfg, on_progress=on_progress, **options)
    names = () if model.pretrained_cfg is None else model.pretrained_cfg.bands
    with limited_cache(), opened_dates(first, second, model.bands, names, cfg) as (one, other):
        scale = -(-max(one.height, one.width) // SIDE)  # that of the reduced maps
        shape = (-(-one.height // scale), -(-one.width // scale))
        pictures = (shown(one, shape), shown(other, shape))
    found = Detection(model, (first, second), folder, cfg, pictures, summarize_weights(model), output, threshold)
    found._write_pictures()
    return found


def _products(folder: Path) -> dict[str, Path]:
    return {"polygons": folder / "change.geojson", "report": folder / "report.html"}


def facts(detection: Detection, found: MapOverview, threshold: float) -> dict[str, Any]:
    """Return what a detection found, as plain values for programs.

    `area_m2` is None without coordinates; `classes` is the number of pixels of each value of the main map that occurs.
    """
    main, legend = next(iter(detection.model.task.maps.items()))
    numbers = np.nonzero(found.counts[main][: len(legend.class_names)])[0]
    return {
        "share": found.changed / found.pixels if found.pixels else 0.0,
        "changed_pixels": found.changed,
        "pixels": found.pixels,
        "area_m2": found.area,
        "threshold": threshold,
        "classes": {legend.class_names[number]: int(found.counts[main][number]) for number in numbers},
        "weights": detection.weights.name,
        "warning": detection.weights.warning,
    }

"""The maps of a scene for another threshold, from its stored probability and without the network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.inference.model import PairModel
from cdzoo.inference.resolve import resolve_threshold
from cdzoo.io.georeference import Grid
from cdzoo.io.images import UInt8
from cdzoo.io.rasters import limited_cache, open_raster
from cdzoo.scenes.areas import area_function
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.dates import opened_dates
from cdzoo.scenes.geotiff import Blocks, block_class, decode_probability, encode_mask
from cdzoo.scenes.inputs import input_files
from cdzoo.scenes.outputs import scene_outputs
from cdzoo.scenes.polygons import check_crs
from cdzoo.scenes.products import Predicted, write_products
from cdzoo.scenes.result import SceneResult
from cdzoo.tasks import Task
from cdzoo.tiling import Window

_OF_THE_FILE = (
    "AREA_OR_POINT",
    "OVR_RESAMPLING_ALG",
    "scale",
    "job_sha256",
    "request_sha256",
)  # tags that other maps do not share
_MAX_PIXELS = 1 << 22  # number of pixels read at once


@dataclass(frozen=True)
class MapOverview:
    """Statistics and reduced maps of a scene at one threshold.

    Attributes:
        maps: All maps of the task by name, the main one first, at a lower resolution (h, w). A pixel has the most frequent
            changed value of those that it covers, or 255 without data.
        counts: Number of pixels of each value (256,) of each map.
        area: Area of the changed pixels of the main map in square meters on the ground; None without coordinates.
    """

    maps: dict[str, UInt8]
    counts: dict[str, npt.NDArray[np.int64]]
    area: float | None

    @property
    def pixels(self) -> int:
        """Number of pixels with data."""
        return int(next(iter(self.counts.values()))[:IGNORE_INDEX].sum())

    @property
    def changed(self) -> int:
        """Number of pixels with another value than 0 in the main map."""
        return self.pixels - int(next(iter(self.counts.values()))[0])


def map_overview(probability: str | Path, task: Task, threshold: float, side: int) -> MapOverview:
    """Return the statistics and reduced maps of a scene at a threshold.

    Args:
        probability: Probability map that `predict_scene` wrote.
        task: Task of the model that it was predicted with.
        threshold: Minimum probability for a pixel to count as changed.
        side: Longest side of the reduced maps in pixels.
    """
    counts = {name: np.zeros(256, np.int64) for name in task.maps}
    parts: dict[str, list[UInt8]] = {name: [] for name in task.maps}
    main, area = next(iter(task.maps)), 0.0
    with limited_cache(), open_raster(probability, "reading the probability of a scene") as file:
        grid = Grid(file.crs, file.transform, file.height, file.width)
        factor = max(1, -(-max(file.shape) // side))
        rows = factor * max(1, _MAX_PIXELS // (factor * file.width * file.count))
        windows = [Window(row, 0, min(rows, file.height - row), file.width) for row in range(0, file.height, rows)]
        for window, maps in _blocks(file, task, threshold, windows):
            for name, values in maps.items():
                counts[name] += np.bincount(values.ravel(), minlength=256)
                parts[name].append(block_class(values, factor))
            changed = int(((maps[main] != 0) & (maps[main] != IGNORE_INDEX)).sum())
            area += changed * _pixel_area(grid, window) if changed and grid.crs is not None else 0.0
    reduced = {name: np.concatenate(rows) for name, rows in parts.items()}
    return MapOverview(reduced, counts, area if grid.crs is not None else None)


def change_threshold(
    model: PairModel,
    before: str | Path,
    after: str | Path,
    probability: str | Path,
    output: str | Path,
    threshold: float,
    cfg: SceneCfg | None = None,
    polygons: str | Path | None = None,
    polygon_cfg: PolygonCfg | None = None,
    report: str | Path | None = None,
) -> SceneResult:
    """Write the maps of a scene for another threshold. The network is not run.

    The files are those that `predict_scene` writes with this threshold if the probability has the type `float32`; else a pixel
    whose probability is within 1/400 of the threshold may differ.

    Args:
        model: Model that the scene was predicted with.
        before: First date.
        after: Second date.
        probability: Probability map that `predict_scene` wrote for them.
        output: GeoTIFF of the map.
        threshold: Minimum probability for a pixel to count as changed.
        cfg: Settings that the scene was predicted with.
        polygons: File of the changed areas, as for `predict_scene`.
        polygon_cfg: Post-processing of the polygons.
        report: HTML page.

    Raises:
        InputError: A file cannot be read or written, or the threshold is out of range.
    """
    start, cfg, task = time.monotonic(), cfg or SceneCfg(), model.task
    threshold = resolve_threshold(model, threshold)
    main, *further = task.maps
    inputs = [*input_files(before), *input_files(after), probability]
    outputs = scene_outputs(output, None, polygons, report, inputs, further)
    counts = np.zeros(256, np.int64)
    with ExitStack() as stack:
        stack.enter_context(outputs.locked())
        stack.enter_context(limited_cache())
        file = stack.enter_context(open_raster(probability, "reading the probability of a scene"))
        folder = stack.enter_context(TemporaryDirectory(prefix=".threshold_", dir=outputs.mask.parent))
        names = () if model.pretrained_cfg is None else model.pretrained_cfg.bands
        first, second = stack.enter_context(opened_dates(before, after, model.bands, names, cfg))
        if outputs.polygons is not None:
            check_crs(outputs.polygons, before, first.grid.crs)
        tags = {name: text for name, text in file.tags().items() if name not in _OF_THE_FILE} | {"threshold": f"{threshold:g}"}
        windows = [Window(at.row_off, at.col_off, at.height, at.width) for _, at in file.block_windows(1)]

        def blocks(name: str) -> Blocks:
            return lambda: ((window, maps[name]) for window, maps in _blocks(file, task, threshold, windows))

        predicted = Predicted(Path(folder), blocks, file.dtypes[0], Path(probability))
        count, _ = write_products(outputs, first, second, predicted, model, tags, polygon_cfg or PolygonCfg())
        for _, values in blocks(main)():
            counts += np.bincount(values.ravel(), minlength=256)
    pixels, class_names = int(counts[:IGNORE_INDEX].sum()), task.maps[main].class_names
    return SceneResult(
        mask=outputs.mask,
        probability=Path(probability),
        polygons=count,
        pixels=pixels,
        changed=pixels - int(counts[0]),
        seconds=time.monotonic() - start,
        resumed=0,
        threshold=threshold,
        further=dict(outputs.further),
        classes={name: int(number) for name, number in zip(class_names, counts, strict=False) if number},
    )


def _blocks(file: Any, task: Task, threshold: float, windows: list[Window]) -> Iterator[tuple[Window, dict[str, UInt8]]]:
    """Yield all maps (height, width) in windows of an open probability map, with 255 for nodata."""
    for window in windows:
        values = decode_probability(file.read(window=window.slices)).astype(np.float32)
        valid = np.asarray(np.isfinite(values).all(0))
        found = np.where(valid, values, np.float32(0))
        maps = task.predict_maps(found if task.probability_names else found[0], threshold)
        yield window, {name: encode_mask(classes, valid) for name, classes in maps.items()}


def _pixel_area(grid: Grid, window: Window) -> float:
    """Return the mean area of the pixels of a window in square meters."""
    import shapely

    x, y = window.x, window.y
    corners = [(x, y), (x + window.width, y), (x + window.width, y + window.height), (x, y + window.height)]
    outline = shapely.polygons(grid.coordinates(np.array(corners, np.float64)))
    return float(area_function(grid.crs)(np.array([outline]))[0]) / (window.height * window.width)

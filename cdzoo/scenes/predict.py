"""`predict_scene`: georeferenced change map of two rasters of any size."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.inference.blocks import Block, WindowGrid, predict_blocks
from cdzoo.inference.resolve import resolve_model, resolve_threshold
from cdzoo.inference.sources import Array
from cdzoo.inference.tta import check_mode
from cdzoo.io.georeference import Grid
from cdzoo.io.rasters import limited_cache
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.modes import evaluating
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.geotiff import STEPS, encode_mask, encode_probability, has_data, is_changed, write_cog
from cdzoo.scenes.job import SceneJob, scene_job
from cdzoo.scenes.journal import Journal
from cdzoo.scenes.outputs import Outputs, check_outputs
from cdzoo.scenes.polygons import traced_areas, write_polygons
from cdzoo.scenes.raster import RasterSource, check_one_scale
from cdzoo.scenes.report import write_report
from cdzoo.tiling import Window


@dataclass(frozen=True)
class SceneResult:
    """Output files and statistics of a predicted scene.

    Attributes:
        mask: GeoTIFF of the change map.
        probability: GeoTIFF of the probability; None if it was not requested.
        polygons: Number of polygons; None if they were not requested.
        pixels: Number of pixels with data in both dates.
        changed: Number of those that changed.
        seconds: Wall time.
        resumed: Number of blocks from an interrupted run.
        threshold: Minimum probability for a pixel to count as changed.
    """

    mask: Path
    probability: Path | None
    polygons: int | None
    pixels: int
    changed: int
    seconds: float
    resumed: int
    threshold: float


def predict_scene(
    model: ChangeDetector | str,
    before: str | Path,
    after: str | Path,
    output: str | Path,
    cfg: SceneCfg | None = None,
    probability: str | Path | None = None,
    polygons: str | Path | None = None,
    polygon_cfg: PolygonCfg | None = None,
    report: str | Path | None = None,
) -> SceneResult:
    """Predict the change between two rasters and write it as a Cloud Optimized GeoTIFF.

    The map has the grid of `before`; if `after` has another grid, it is resampled while it is read. Memory does not depend on
    the size of the scene. With the same arguments, an interrupted run resumes from its last block and writes the same bytes.
    Values of the map: 1 for change, 0 for no change, 255 (nodata) where a date has no data.

    Args:
        model: Model, used in evaluation mode on its device, after which its mode is restored; or a name, see `predict_pair`.
        before: First date: any raster that GDAL reads.
        after: Second date.
        output: GeoTIFF of the map.
        cfg: Settings.
        probability: GeoTIFF of the probability; not written by default.
        polygons: File of the changed areas: `.gpkg`, `.geojson` or `.parquet`; not written by default.
        polygon_cfg: Post-processing of the polygons.
        report: HTML page with both dates, the map and the largest changes; not written by default.

    Raises:
        InputError: A raster cannot be read, does not match the model or does not overlap the other one, or an output has the
            wrong suffix or its folder does not exist.
        ConfigError: The settings do not match the model.
        MissingDependencyError: rasterio is not installed, or geopandas for polygons.
    """
    start = time.monotonic()
    cfg, outputs = cfg or SceneCfg(), check_outputs(output, probability, polygons, report)
    model = resolve_model(model)
    check_mode(cfg.augment, model.bands)
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.enter_context(limited_cache())
        names = () if model.pretrained_cfg is None else model.pretrained_cfg.bands
        options: dict[str, Any] = {"percentiles": cfg.percentiles, "band_names": names, "alpha": cfg.alpha}
        first = RasterSource(before, model.bands[0], None, cfg.value_range, indexes=cfg.bands, **options)
        stack.enter_context(first)
        range_after, bands_after = cfg.value_range_after or cfg.value_range, cfg.bands_after or cfg.bands
        second = RasterSource(after, model.bands[1], first.grid, range_after, indexes=bands_after, **options)
        stack.enter_context(second)
        if cfg.percentiles is None and cfg.value_range_after is None:
            check_one_scale(first, second, cfg.value_range)
        grid = WindowGrid(model, first.height, first.width, cfg.tile, cfg.overlap or 0, cfg.batch_size)
        job = scene_job(model, first, second, cfg, resolve_threshold(model, cfg.threshold), outputs.probability is not None)
        journal = Journal(outputs.mask, job)
        resumed = journal.count(grid.order)
        blocks = predict_blocks(model, first, second, grid, journal, cfg.augment, resumed)
        _store(model, blocks, journal, grid, job, resumed)
        pixels, changed = _write_maps(outputs, first.grid, grid, journal, job)
        count = _write_products(outputs, first, second, polygon_cfg or PolygonCfg())
    journal.remove()
    kept = outputs.probability if outputs.keep_probability else None
    return SceneResult(outputs.mask, kept, count, pixels, changed, time.monotonic() - start, resumed, job.threshold)


def _store(
    model: ChangeDetector, blocks: Iterator[Block], journal: Journal, grid: WindowGrid, job: SceneJob, resumed: int
) -> None:
    """Write blocks to the journal while the next ones are predicted."""
    from tqdm import tqdm

    sizes = [window.height * window.width for window in (grid.completed(*block) for block in grid.order)]
    look: dict[str, Any] = {"unit": "px", "unit_scale": True, "desc": "predicting", "dynamic_ncols": True}
    look["disable"] = not (job.settings.progress and sys.stderr.isatty())
    with ThreadPoolExecutor(1) as writer, tqdm(total=sum(sizes), initial=sum(sizes[:resumed]), **look) as bar:
        stored: Future[None] = writer.submit(lambda: None)
        for block in blocks:
            classes = model.task.predict(block.probability, job.threshold)
            arrays: dict[str, Array] = {"mask": encode_mask(classes, block.valid)}
            if job.with_probability:
                arrays["probability"] = encode_probability(block.probability, block.valid, job.settings.probability)
            stored.result()  # so that blocks are stored in order, and an error such as a full disk stops the run
            stored = writer.submit(journal.write, block.row, block.number, **arrays)
            bar.update(block.probability.size)
        stored.result()


def _write_maps(outputs: Outputs, grid: Grid, windows: WindowGrid, journal: Journal, job: SceneJob) -> tuple[int, int]:
    """Write the stored blocks as GeoTIFFs; return the number of pixels with data and of changed pixels.

    The map is written last, since its existence means that the scene is complete.
    """
    pixels = changed = 0

    def stored(name: str) -> Iterator[tuple[Window, Array]]:
        nonlocal pixels, changed
        for block in windows.order:
            values = journal.read(*block, name)
            if name == "mask":
                pixels += int(has_data(values).sum())
                changed += int(is_changed(values).sum())
            yield windows.completed(*block), values

    if outputs.probability is not None:
        dtype = job.settings.probability
        tags = {**job.tags, "scale": f"{1 / STEPS:g}"} if dtype == "uint8" else job.tags
        write_cog(outputs.probability, grid, dtype, stored("probability"), tags)
    write_cog(outputs.mask, grid, "uint8", stored("mask"), job.tags)
    return pixels, changed


def _write_products(outputs: Outputs, before: RasterSource, after: RasterSource, cfg: PolygonCfg) -> int | None:
    """Write polygons and report from the maps; return the number of polygons. Remove the probability if it is not requested."""
    import rasterio

    if outputs.probability is None or not (outputs.polygons or outputs.report):
        return None
    with rasterio.open(outputs.mask) as masks, rasterio.open(outputs.probability) as probabilities:
        areas = traced_areas(masks, probabilities, cfg)
        if outputs.polygons is not None:
            write_polygons(outputs.polygons, areas, masks.crs)
        if outputs.report is not None:
            write_report(outputs.report, before, after, masks, probabilities, areas)
    if not outputs.keep_probability:
        outputs.probability.unlink()
    return len(areas) if outputs.polygons else None

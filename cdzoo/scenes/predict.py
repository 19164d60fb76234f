"""`predict_scene`: georeferenced change map of two rasters of any size."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.errors import InputError
from cdzoo.inference.blocks import Block, WindowGrid, predict_blocks
from cdzoo.inference.resolve import resolve_model, resolve_threshold
from cdzoo.inference.sources import Array
from cdzoo.inference.tta import check_mode
from cdzoo.io.files import replace_atomically
from cdzoo.io.rasters import limited_cache
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.modes import evaluating
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.geotiff import STEPS, encode_mask, encode_probability, has_data, is_changed, replace_raster, write_cog
from cdzoo.scenes.inputs import input_files
from cdzoo.scenes.job import SceneJob, scene_job
from cdzoo.scenes.journal import Journal
from cdzoo.scenes.outputs import Outputs, scene_outputs, writing
from cdzoo.scenes.polygons import check_crs, traced_areas, write_polygons
from cdzoo.scenes.raster import RasterSource, opened_dates
from cdzoo.scenes.report import write_report
from cdzoo.tiling import Window

_JOB_TAG = "job_sha256"


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
        finished: Whether the outputs are those of an earlier run, and were not made again; pixels are not counted then.
    """

    mask: Path
    probability: Path | None
    polygons: int | None
    pixels: int
    changed: int
    seconds: float
    resumed: int
    threshold: float
    finished: bool = False


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
    skip_finished: bool = False,
) -> SceneResult:
    """Predict the change between two rasters and write it as a Cloud Optimized GeoTIFF.

    The map has the grid of `before`; if `after` has another grid, it is resampled while it is read. Memory does not depend on
    the height of the scene, and hardly on its width (0.5 KB per pixel). With the same arguments, an interrupted run resumes and
    writes the same bytes.
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
        skip_finished: Return at once if all outputs exist and were made from equal inputs (files, content included) with equal
            weights and settings; the map has their hash in its tag `job_sha256`.

    Raises:
        InputError: A raster cannot be read, does not match the model or does not overlap the other one, or an output has the
            wrong suffix, is an input or another output, cannot be written, or is being written by another run.
        ConfigError: The settings do not match the model.
        MissingDependencyError: rasterio is not installed, or geopandas for polygons.
    """
    start = time.monotonic()
    cfg, polygon_cfg = cfg or SceneCfg(), polygon_cfg or PolygonCfg()
    outputs = scene_outputs(output, probability, polygons, report, [*input_files(before), *input_files(after)])
    model = resolve_model(model)
    check_mode(cfg.augment, model.bands)
    with ExitStack() as stack:
        stack.enter_context(outputs.locked())
        stack.enter_context(evaluating(model))
        stack.enter_context(limited_cache())
        names = () if model.pretrained_cfg is None else model.pretrained_cfg.bands
        first, second = stack.enter_context(opened_dates(before, after, model.bands, names, cfg))
        grid = _windows(model, first, cfg)
        if outputs.polygons is not None:
            check_crs(outputs.polygons, before, first.grid.crs)
        job = scene_job(model, first, second, grid, cfg, resolve_threshold(model, cfg.threshold), outputs.needs_probability)
        tags = {**job.tags, _JOB_TAG: job.sha256(_products(outputs, polygon_cfg))}
        if skip_finished and _is_finished(outputs, tags[_JOB_TAG]):
            return SceneResult(outputs.mask, outputs.probability, None, 0, 0, time.monotonic() - start, 0, job.threshold, True)
        journal = Journal(outputs.mask, job)
        missing = journal.missing(grid.order)
        _store(model, predict_blocks(model, first, second, grid, cfg.augment, missing), journal, grid, job, missing)
        result = _write(outputs, first, second, grid, journal, job, tags, polygon_cfg)
    journal.remove()
    resumed = len(grid.order) - len(missing)
    return dataclasses.replace(result, seconds=time.monotonic() - start, resumed=resumed)


def _windows(model: ChangeDetector, source: RasterSource, cfg: SceneCfg) -> WindowGrid:
    try:
        return WindowGrid(model, source.height, source.width, cfg.tile, cfg.overlap, cfg.batch_size)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error


def _products(outputs: Outputs, cfg: PolygonCfg) -> dict[str, Any]:
    """Return which products are made from the map, and their settings."""
    made = [file is not None for file in (outputs.probability, outputs.polygons, outputs.report)]
    return {"products": made, "polygons": dataclasses.asdict(cfg) if any(made[1:]) else None}


def _is_finished(outputs: Outputs, job: str) -> bool:
    """Return whether the outputs exist and are those of a job, which is stored in the map that was written last."""
    import rasterio

    if not all(file.is_file() for file in outputs.files):
        return False
    try:
        with rasterio.open(outputs.mask, driver="GTiff") as file:
            return bool(file.tags().get(_JOB_TAG) == job)
    except rasterio.errors.RasterioError:
        return False


def _store(
    model: ChangeDetector,
    blocks: Iterator[Block],
    journal: Journal,
    grid: WindowGrid,
    job: SceneJob,
    missing: list[tuple[int, int]],
) -> None:
    """Write blocks to the journal while the next ones are predicted."""
    from tqdm import tqdm

    sizes = {block: window.height * window.width for block in grid.order for window in (grid.completed(*block),)}
    total, left = sum(sizes.values()), sum(sizes[block] for block in missing)
    look: dict[str, Any] = {"unit": "px", "unit_scale": True, "desc": "predicting", "dynamic_ncols": True}
    look["disable"] = not (job.settings.progress and sys.stderr.isatty())
    with ThreadPoolExecutor(1) as writer, tqdm(total=total, initial=total - left, **look) as bar:
        stored: Future[None] = writer.submit(lambda: None)
        for block in blocks:
            classes = model.task.predict(block.probability, job.threshold)
            arrays: dict[str, Array] = {"mask": encode_mask(classes, block.valid)}
            if job.with_probability:
                arrays["probability"] = encode_probability(block.probability, block.valid, job.settings.probability)
            stored.result()  # an error such as a full disk stops the run
            stored = writer.submit(journal.write, block.row, block.number, **arrays)
            bar.update(block.probability.size)
        stored.result()


def _write(
    outputs: Outputs,
    before: RasterSource,
    after: RasterSource,
    windows: WindowGrid,
    journal: Journal,
    job: SceneJob,
    tags: Mapping[str, str],
    cfg: PolygonCfg,
) -> SceneResult:
    """Write all outputs under temporary names, and rename them when they are complete; the map is renamed last.

    The existence of the map means that the scene is complete.
    """
    import rasterio

    def stored(name: str) -> Callable[[], Iterator[tuple[Window, Array]]]:
        return lambda: ((windows.completed(*block), journal.read(*block, name)) for block in windows.order)

    counts = None
    with ExitStack() as stack:
        mask = stack.enter_context(replace_raster(outputs.mask))
        with writing(outputs.mask):
            write_cog(mask, journal.folder, before.grid, "uint8", stored("mask"), tags)
        if job.with_probability:
            kept = outputs.probability
            probability = journal.folder / "probability.tif" if kept is None else stack.enter_context(replace_raster(kept))
            dtype = job.settings.probability
            scale = {"scale": f"{1 / STEPS:g}"} if dtype == "uint8" else {}
            with writing(kept or probability):
                write_cog(probability, journal.folder, before.grid, dtype, stored("probability"), {**tags, **scale})
        if outputs.polygons is not None or outputs.report is not None:
            with rasterio.open(mask) as masks, rasterio.open(probability) as probabilities:
                areas = traced_areas(masks, probabilities, cfg)
                if outputs.polygons is not None:
                    counts = len(areas)
                    file = stack.enter_context(replace_atomically(outputs.polygons))
                    with writing(outputs.polygons):
                        write_polygons(file, areas, masks.crs)
                if outputs.report is not None:
                    file = stack.enter_context(replace_atomically(outputs.report))
                    with writing(outputs.report):
                        write_report(file, before, after, masks, probabilities, areas)
        # So that a run that ends between two of the renames leaves no map of earlier settings with these products.
        outputs.mask.unlink(missing_ok=True)
    pixels = changed = 0
    for _, values in stored("mask")():
        pixels += int(has_data(values).sum())
        changed += int(is_changed(values).sum())
    return SceneResult(outputs.mask, outputs.probability, counts, pixels, changed, 0.0, 0, job.threshold)

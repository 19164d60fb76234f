"""`predict_scene`: georeferenced change map of two rasters of any size."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import InputError
from cdzoo.inference.blocks import Block, WindowGrid, predict_blocks
from cdzoo.inference.model import PairModel
from cdzoo.inference.rescaled import batch_at_scale, rescaled
from cdzoo.inference.resolve import resolve_model, resolve_threshold
from cdzoo.inference.sources import Array
from cdzoo.inference.tta import check_mode
from cdzoo.io.band_files import is_several, one_raster
from cdzoo.io.files import PathLike, beside, remove_temporary, write_text
from cdzoo.io.objects import is_remote
from cdzoo.io.rasters import limited_cache
from cdzoo.io.vectors import read_vectors
from cdzoo.models.modes import evaluating
from cdzoo.models.scale import check_scale
from cdzoo.scenes.alignment import scene_shift, warn_of_shift
from cdzoo.scenes.area import Area
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.copying import REQUEST_TAG
from cdzoo.scenes.dates import opened_dates
from cdzoo.scenes.footprints import check_footprints, table_of
from cdzoo.scenes.geotiff import encode_mask, encode_probability
from cdzoo.scenes.image_cache import ImageCache
from cdzoo.scenes.inputs import input_files, input_hash
from cdzoo.scenes.job import SceneJob, request_hash, scene_job
from cdzoo.scenes.journal import Journal, remove_leftovers
from cdzoo.scenes.outputs import Outputs, scene_outputs
from cdzoo.scenes.pixel_size import scene_scale
from cdzoo.scenes.polygons import check_crs
from cdzoo.scenes.products import Predicted, write_products
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.reflectance import warn_of_offset
from cdzoo.scenes.remote import fetched, remote_images
from cdzoo.scenes.result import SceneResult
from cdzoo.scenes.styles import style_files

_JOB_TAG = "job_sha256"


def predict_scene(
    model: PairModel | str | Path,
    before: str | Path,
    after: str | Path,
    output: str | Path,
    cfg: SceneCfg | None = None,
    probability: str | Path | None = None,
    polygons: str | Path | None = None,
    polygon_cfg: PolygonCfg | None = None,
    report: str | Path | None = None,
    skip_finished: bool = False,
    on_progress: Callable[[float], None] | None = None,
    footprints: str | Path | None = None,
    footprint_output: str | Path | None = None,
    footprint_layer: str | None = None,
    area: Area | None = None,
    mask_before: str | Path | None = None,
    mask_after: str | Path | None = None,
    cache: ImageCache | None = None,
    tags: Mapping[str, str] | None = None,
) -> SceneResult:
    """Predict the change between two rasters and write it as a Cloud Optimized GeoTIFF.

    The map has the grid of `before`; if `after` has another grid, it is resampled while it is read. Memory does not depend on
    the height of the scene, and hardly on its width (0.5 KB per pixel and probability). With the same arguments, an interrupted
    run resumes and writes the same bytes.
    Values of the map: 1 for change, 0 for no change, 255 (nodata) where a date has no data. For other tasks than `binary`, those
    of `Task.maps`: the main map is `output`, further ones are written next to it as `OUTPUT_NAME.tif`. The classes are in the
    color table, the category names and the tags of the file, and in a style of QGIS next to it, `OUTPUT.qml`.

    Args:
        model: Model, used in evaluation mode on its device, after which its mode is restored; or a name, see `predict_pair`.
        before: First date: any raster that GDAL reads, or the files of its bands, see `one_raster`; or the address of a GeoTIFF,
            `https://`, `http://` or `s3://`, of which the part that is needed is copied first, see `local_images`.
        after: Second date.
        output: GeoTIFF of the map.
        cfg: Settings.
        probability: GeoTIFF of the probability, with one band for each of `Task.probability_names`; not written by default.
        polygons: File of the changed areas: `.gpkg`, `.geojson` or `.parquet`; not written by default.
        polygon_cfg: Post-processing of the polygons.
        report: HTML page with both dates, the map and the largest changes; not written by default.
        skip_finished: Return at once if all outputs exist and were made from equal inputs (files, content included) with equal
            weights and settings; the map has their hash in its tag `job_sha256`.
        on_progress: Called after each block with the share of the scene, in [0, 1], that is predicted. What it raises stops the
            run, which the same call resumes.
        footprints: File of polygons, such as those of buildings or districts, to write statistics of the map for, see
            `footprint_table`; none by default.
        footprint_output: Table of these statistics: `.gpkg`, `.geojson`, `.parquet` or `.csv`; by default
            `OUTPUT_footprints.gpkg` next to the map.
        footprint_layer: Layer of the polygons in a GeoPackage with several.
        area: Part of the scene to predict, see `scene_area`, which gives the map its grid; by default all of `before`.
        mask_before: Raster on any grid that says where the first date has no data, such as clouds, see `CloudMask` and
            `SceneCfg.mask_values`. Pixels that it does not cover have no data.
        mask_after: That of the second date.
        cache: Folder for copies of remote images; by default a hidden one beside the map, which is removed with success.
        tags: Further metadata of the maps.

    Raises:
        InputError: A raster cannot be read, does not match the model or does not overlap the other one, or an output has the
            wrong suffix, is an input or another output, cannot be written, or is being written by another run.
        ConfigError: The settings do not match the model.
        MissingDependencyError: rasterio is not installed, or geopandas for polygons.
    """
    start = time.monotonic()
    cfg, polygon_cfg = cfg or SceneCfg(), polygon_cfg or PolygonCfg()
    dates, masks = (before, after), (mask_before, mask_after)
    if any(is_several(date) or is_remote(date) for date in dates):
        of_zones = {"footprints": footprints, "footprint_output": footprint_output, "footprint_layer": footprint_layer}
        options: dict[str, Any] = {"cfg": cfg, "probability": probability, "polygons": polygons, "polygon_cfg": polygon_cfg}
        options |= {"report": report, "skip_finished": skip_finished, "on_progress": on_progress, **of_zones, "area": area}
        options |= {"mask_before": mask_before, "mask_after": mask_after}
        with ExitStack() as stack:
            named = [date if is_remote(date) else stack.enter_context(one_raster(date)) for date in dates]
            remote = stack.enter_context(remote_images(named, area))
            if remote:
                table = table_of(output, footprints, footprint_output)
                inputs = [file for file in named if not is_remote(file)] + [mask for mask in masks if mask is not None]
                kept = (output, probability, polygons, report, inputs)
                scene_outputs(*kept, with_styles=cfg.style, footprints=table)
                model = resolve_model(model)
                outputs = scene_outputs(*kept, [*model.task.maps][1:], cfg.style, table)
                threshold = resolve_threshold(model, cfg.threshold)
                products = _products(outputs, polygon_cfg, footprints, footprint_layer)
                products["masks"] = [None if mask is None else input_hash(mask) for mask in masks]
                request = request_hash(model, named, remote, cfg, threshold, area, products)
                if skip_finished and request is not None and _is_finished(outputs, REQUEST_TAG, request):
                    with outputs.locked():
                        return _finished(outputs, model, threshold, start)
                tags = {**(tags or {}), **({} if request is None else {REQUEST_TAG: request})}
            copies = iter(stack.enter_context(fetched(remote, output, cache)) if remote else ())
            first_date, second_date = (next(copies) if is_remote(date) else date for date in named)
            return predict_scene(model, first_date, second_date, output, **options, tags=tags)
    vectors = [Path(file) for file in (footprints, None if area is None else area.file) if file is not None]
    inputs = [*input_files(before), *input_files(after), *vectors]
    inputs += [file for mask in masks if mask is not None for file in input_files(mask)]
    table = table_of(output, footprints, footprint_output)
    files = (output, probability, polygons, report, inputs)
    scene_outputs(*files, with_styles=cfg.style, footprints=table)  # before the model is loaded
    zones = None if footprints is None else read_vectors(footprints, footprint_layer)
    model = resolve_model(model)
    check_mode(cfg.augment, model)
    check_scale(1.0 if cfg.scale == "auto" else cfg.scale, model.config.name, model.input_sizes)
    main, *further = model.task.maps
    outputs = scene_outputs(*files, further, cfg.style, table)
    with ExitStack() as stack:
        stack.enter_context(outputs.locked())
        stack.enter_context(evaluating(model))
        stack.enter_context(limited_cache())
        names = () if model.pretrained_cfg is None else model.pretrained_cfg.bands
        first, second = stack.enter_context(opened_dates(before, after, model.bands, names, cfg, area, masks))
        scale = scene_scale(cfg.scale, model, before, first.grid)
        cfg = dataclasses.replace(cfg, scale=scale)
        scaled = rescaled(model, scale)
        grid = _windows(scaled, first, cfg, batch_at_scale(model, scale, cfg.batch_size))
        if outputs.polygons is not None:
            check_crs(outputs.polygons, before, first.grid.crs)
        if zones is not None:
            check_footprints(footprints, zones, first.grid)
        job = scene_job(model, first, second, grid, cfg, resolve_threshold(model, cfg.threshold), outputs.needs_probability)
        found = tuple(text for text in (first.reflectance, second.reflectance) if text)
        masked = tuple(source.mask.text for source in (first, second) if source.mask is not None)
        own = job.sha256(_products(outputs, polygon_cfg, footprints, footprint_layer))
        if skip_finished and _is_finished(outputs, _JOB_TAG, own):
            return _finished(outputs, model, job.threshold, start, scale=scale, reflectances=found, masks=masked)
        if not cfg.align:
            warn_of_shift(before, after, scene_shift(first, second), "correct it with --align, or resample the images")
        if _may_differ(cfg):
            warn_of_offset(before, after)
        all_tags = {**(tags or {}), **job.tags, _JOB_TAG: own}
        for file in outputs.files if beside(outputs.mask, "blocks").is_dir() else ():
            remove_temporary(file)  # of an interrupted run
        journal = Journal(outputs.mask, job)
        missing = journal.missing(grid.order)
        blocks = predict_blocks(scaled, first, second, grid, cfg.augment, missing)
        _store(model, blocks, journal, grid, job, missing, on_progress)
        predicted = Predicted(
            journal.folder,
            lambda name: lambda: ((grid.completed(*block), journal.read(*block, name)) for block in grid.order),
            cfg.probability if job.with_probability else None,
        )
        polygon_count, zones = write_products(outputs, first, second, predicted, model, all_tags, polygon_cfg, zones)
        counts = np.sum([np.bincount(journal.read(*block, main).ravel(), minlength=256) for block in grid.order], axis=0)
    journal.remove()
    pixels, names = int(counts[:IGNORE_INDEX].sum()), model.task.maps[main].class_names
    return SceneResult(
        mask=outputs.mask,
        probability=outputs.probability,
        polygons=polygon_count,
        pixels=pixels,
        changed=pixels - int(counts[0]),
        seconds=time.monotonic() - start,
        resumed=len(grid.order) - len(missing),
        threshold=job.threshold,
        scale=scale,
        further=dict(outputs.further),
        classes={name: int(count) for name, count in zip(names, counts, strict=False) if count},
        styles=tuple(outputs.styles),
        footprints=zones,
        reflectances=found,
        masks=masked,
    )


def _may_differ(cfg: SceneCfg) -> bool:
    """Return whether an offset of one date would show as change."""
    own_ranges = (cfg.value_range_after, cfg.percentiles, cfg.percentiles_after, cfg.decibels)
    return cfg.reflectance == "none" and all(one is None for one in own_ranges)


def _windows(model: PairModel, source: RasterSource, cfg: SceneCfg, batch_size: int) -> WindowGrid:
    try:
        return WindowGrid(model, source.height, source.width, cfg.tile, cfg.overlap, batch_size)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error


def _products(outputs: Outputs, cfg: PolygonCfg, footprints: PathLike | None, layer: str | None) -> dict[str, Any]:
    """Return which products are made from the map, and their settings."""
    zones = {} if footprints is None else {"footprints": [layer, input_hash(footprints)]}
    made = [file is not None for file in (outputs.probability, outputs.polygons, outputs.report)]
    return {"products": made, "polygons": dataclasses.asdict(cfg) if any(made[1:]) else None, **zones}


def _finished(outputs: Outputs, model: PairModel, threshold: float, start: float, **further: Any) -> SceneResult:
    """Return the result of an earlier run; write styles that are missing, and remove what is left if it was killed at its end."""
    remove_leftovers(outputs.mask, outputs.files)
    for file, text in style_files(outputs, model.task).items():
        if not file.exists():
            write_text(file, text)
    made: dict[str, Any] = {"further": dict(outputs.further), "styles": tuple(outputs.styles), "finished": True, **further}
    return SceneResult(outputs.mask, outputs.probability, None, 0, 0, time.monotonic() - start, 0, threshold, **made)


def _is_finished(outputs: Outputs, tag: str, job: str) -> bool:
    """Return whether the outputs exist and the maps are those of a job, whose hash they have as a tag."""
    import rasterio

    if not all(file.is_file() for file in outputs.files):
        return False
    try:
        for path in (outputs.mask, *outputs.further.values()):
            with rasterio.open(path, driver="GTiff") as file:
                if file.tags().get(tag) != job:
                    return False
    except rasterio.errors.RasterioError:
        return False
    return True


def _store(
    model: PairModel,
    blocks: Iterator[Block],
    journal: Journal,
    grid: WindowGrid,
    job: SceneJob,
    missing: list[tuple[int, int]],
    on_progress: Callable[[float], None] | None,
) -> None:
    """Write blocks to the journal while the next ones are predicted."""
    from cdzoo.io.progress import is_watched, tqdm

    sizes = {block: window.height * window.width for block in grid.order for window in (grid.completed(*block),)}
    total, left = sum(sizes.values()), sum(sizes[block] for block in missing)
    look: dict[str, Any] = {"unit": "px", "unit_scale": True, "desc": "predicting", "dynamic_ncols": True}
    look["disable"] = not (is_watched() if job.settings.progress is None else job.settings.progress)
    with ThreadPoolExecutor(1) as writer, tqdm(total=total, initial=total - left, **look) as bar:
        stored: Future[None] = writer.submit(lambda: None)
        for block in blocks:
            maps = model.task.predict_maps(block.probability, job.threshold)
            arrays: dict[str, Array] = {name: encode_mask(classes, block.valid) for name, classes in maps.items()}
            if job.with_probability:
                arrays["probability"] = encode_probability(block.probability, block.valid, job.settings.probability)
            stored.result()  # an error such as a full disk stops the run
            stored = writer.submit(journal.write, block.row, block.number, **arrays)
            bar.update(block.valid.size)
            left -= block.valid.size
            if on_progress is not None:
                on_progress(1 - left / total)
        stored.result()

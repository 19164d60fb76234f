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
from cdzoo.io.files import beside, remove_temporary
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
from cdzoo.scenes.finished import finished_result, is_finished
from cdzoo.scenes.footprints import check_footprints
from cdzoo.scenes.geotiff import encode_mask, encode_probability
from cdzoo.scenes.image_cache import ImageCache
from cdzoo.scenes.inputs import input_files, input_hash
from cdzoo.scenes.job import SceneJob, request_hash, scene_job
from cdzoo.scenes.journal import Journal
from cdzoo.scenes.pixel_size import scene_scale
from cdzoo.scenes.polygons import check_crs
from cdzoo.scenes.products import Predicted, write_products
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.reflectance import warn_of_offset
from cdzoo.scenes.remote import fetched, remote_images
from cdzoo.scenes.request import SceneRequest
from cdzoo.scenes.result import SceneResult

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
    request = SceneRequest(
        output,
        cfg or SceneCfg(),
        polygon_cfg or PolygonCfg(),
        probability=probability,
        polygons=polygons,
        report=report,
        footprints=footprints,
        footprint_output=footprint_output,
        footprint_layer=footprint_layer,
        area=area,
        masks=(mask_before, mask_after),
        skip_finished=skip_finished,
        on_progress=on_progress,
        tags=tags or {},
    )
    if any(is_several(date) or is_remote(date) for date in (before, after)):
        return _predict_sources(model, (before, after), request, cache)
    return _predict_rasters(model, before, after, request)


def _predict_sources(
    model: PairModel | str | Path, dates: tuple[str | Path, str | Path], request: SceneRequest, cache: ImageCache | None
) -> SceneResult:
    """Predict a scene of remote images or of files of bands, after each date is one local raster."""
    start = time.monotonic()
    with ExitStack() as stack:
        images = [date if is_remote(date) else stack.enter_context(one_raster(date)) for date in dates]
        remote = stack.enter_context(remote_images(images, request.area))
        if not remote:
            return _predict_rasters(model, images[0], images[1], request)
        local = [image for image in images if not is_remote(image)]
        request.outputs(local)  # before the model is loaded
        model = resolve_model(model)
        outputs = request.outputs(local, [*model.task.maps][1:])
        threshold = resolve_threshold(model, request.cfg.threshold)
        masks = [None if mask is None else input_hash(mask) for mask in request.masks]
        products = {**request.products(outputs), "masks": masks}
        asked = request_hash(model, images, remote, request.cfg, threshold, request.area, products)
        if asked is not None:
            if request.skip_finished and is_finished(outputs, REQUEST_TAG, asked):
                with outputs.locked():
                    return finished_result(outputs, model, threshold, start)
            request = dataclasses.replace(request, tags={**request.tags, REQUEST_TAG: asked})
        copies = iter(stack.enter_context(fetched(remote, request.output, cache)))
        first, second = (next(copies) if is_remote(image) else image for image in images)
        return _predict_rasters(model, first, second, request)


def _predict_rasters(model: PairModel | str | Path, before: str | Path, after: str | Path, request: SceneRequest) -> SceneResult:
    """Predict a scene of two local rasters."""
    start = time.monotonic()
    cfg = request.cfg
    inputs = [*input_files(before), *input_files(after)]
    request.outputs(inputs)  # before the model is loaded
    zones = None if request.footprints is None else read_vectors(request.footprints, request.footprint_layer)
    model = resolve_model(model)
    check_mode(cfg.augment, model)
    check_scale(1.0 if cfg.scale == "auto" else cfg.scale, model.config.name, model.input_sizes)
    main, *further = model.task.maps
    outputs = request.outputs(inputs, further)
    with ExitStack() as stack:
        stack.enter_context(outputs.locked())
        stack.enter_context(evaluating(model))
        stack.enter_context(limited_cache())
        names = () if model.pretrained_cfg is None else model.pretrained_cfg.bands
        first, second = stack.enter_context(opened_dates(before, after, model.bands, names, cfg, request.area, request.masks))
        scale = scene_scale(cfg.scale, model, before, first.grid)
        cfg = dataclasses.replace(cfg, scale=scale)
        scaled = rescaled(model, scale)
        grid = _windows(scaled, first, cfg, batch_at_scale(model, scale, cfg.batch_size))
        if outputs.polygons is not None:
            check_crs(outputs.polygons, before, first.grid.crs)
        if zones is not None:
            check_footprints(request.footprints, zones, first.grid)
        job = scene_job(model, first, second, grid, cfg, resolve_threshold(model, cfg.threshold), outputs.needs_probability)
        found = tuple(text for text in (first.reflectance, second.reflectance) if text)
        masked = tuple(source.mask.text for source in (first, second) if source.mask is not None)
        own = job.sha256(request.products(outputs))
        if request.skip_finished and is_finished(outputs, _JOB_TAG, own):
            return finished_result(outputs, model, job.threshold, start, scale=scale, reflectances=found, masks=masked)
        if not cfg.align:
            warn_of_shift(before, after, scene_shift(first, second), "correct it with --align, or resample the images")
        if _may_differ(cfg):
            warn_of_offset(before, after)
        all_tags = {**request.tags, **job.tags, _JOB_TAG: own}
        for file in outputs.files if beside(outputs.mask, "blocks").is_dir() else ():
            remove_temporary(file)  # of an interrupted run
        journal = Journal(outputs.mask, job)
        missing = journal.missing(grid.order)
        blocks = predict_blocks(scaled, first, second, grid, cfg.augment, missing)
        _store(model, blocks, journal, grid, job, missing, request.on_progress)
        predicted = Predicted(
            journal.folder,
            lambda name: lambda: ((grid.completed(*block), journal.read(*block, name)) for block in grid.order),
            cfg.probability if job.with_probability else None,
        )
        polygon_count, zones = write_products(outputs, first, second, predicted, model, all_tags, request.polygon_cfg, zones)
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

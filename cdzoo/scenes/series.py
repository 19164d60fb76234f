"""`predict_series`: lasting, passing and unconfirmed changes in a series of rasters."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.model import PairModel
from cdzoo.inference.resolve import resolve_model
from cdzoo.io.band_files import is_several, one_raster
from cdzoo.io.dates import ImageDate, image_date
from cdzoo.io.files import PathLike, beside
from cdzoo.io.georeference import grid_of
from cdzoo.io.objects import is_remote
from cdzoo.io.outputs import file_identity
from cdzoo.io.rasters import limited_cache, open_raster
from cdzoo.io.vectors import read_vectors
from cdzoo.scenes.area import Area
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.footprints import table_of
from cdzoo.scenes.inputs import input_files
from cdzoo.scenes.outputs import scene_outputs
from cdzoo.scenes.pair_maps import PairMaps
from cdzoo.scenes.polygons import check_crs
from cdzoo.scenes.predict import predict_scene
from cdzoo.scenes.remote import local_images
from cdzoo.scenes.series_page import SeriesPage
from cdzoo.scenes.series_products import FURTHER, MAX_POLYGON_IMAGES, SeriesCounts, check_zones, write_series

_MAX_IMAGES = IGNORE_INDEX - 2  # with values for passing and unconfirmed changes
_OWN = re.compile(r"pair_\d{3}_\d{3}(_probability)?\.tif(\.aux\.xml)?|\.pair_.*|(map|change)_.*")


@dataclass(frozen=True)
class SeriesResult:
    """Output files and statistics of a series.

    Attributes:
        mask: GeoTIFF of the kinds of change.
        first_date: GeoTIFF of the first image of lasting changes.
        last_before: GeoTIFF of the last image with data before it.
        probability: GeoTIFF of the probability; None if it was not requested.
        polygons: Number of polygons; None if they were not requested.
        names: Date of each image, or its file name.
        counts: Number of pixels of each kind and date.
        seconds: Wall time.
        threshold: Minimum probability for a pixel to count as changed.
        footprints: Table of statistics per footprint (GeoDataFrame); None if it was not requested.
        scale: Factor by which windows were enlarged for the model.
    """

    mask: Path
    first_date: Path
    last_before: Path
    probability: Path | None
    polygons: int | None
    names: tuple[str, ...]
    counts: SeriesCounts
    seconds: float
    threshold: float
    footprints: Any = None
    scale: float = 1.0


def predict_series(
    model: PairModel | str | Path,
    images: Sequence[PathLike],
    output: PathLike,
    cfg: SceneCfg | None = None,
    probability: PathLike | None = None,
    polygons: PathLike | None = None,
    polygon_cfg: PolygonCfg | None = None,
    dates: Sequence[str] = (),
    area: Area | None = None,
    on_pair: Callable[[int, int, str, str], None] | None = None,
    masks: Sequence[PathLike | None] = (),
    report: PathLike | None = None,
    footprints: PathLike | None = None,
    footprint_output: PathLike | None = None,
    footprint_layer: str | None = None,
) -> SeriesResult:
    """Predict which changes in a series of rasters last, and since when; write maps as Cloud Optimized GeoTIFFs.

    The pairs of the first image with every other one, and of consecutive ones, are predicted as `predict_scene` does, on the grid
    of the first image, and combined by the rule of `persistence`. Memory does not depend on the height of the scene or the number
    of images. The map of each pair stays in a folder `.OUTPUT.pairs` until all are complete: with the same arguments, an
    interrupted run resumes and writes the same bytes.

    Maps: `output`, the kind of change (0 no change, 1 lasting, 2 passing, 3 unconfirmed, 255 no data); `OUTPUT_first_date.tif`,
    the number of the first image of lasting changes, from 2, 0 elsewhere; `OUTPUT_last_before.tif`, the number of the last image
    with data before it. With two images, the map has the values of `predict_scene`.

    Args:
        model: Model of pairs whose main map has 0 for no change, as for `predict_scene`.
        images: Rasters, or the files of their bands (`one_raster`), in the order of their dates, at least two; may be remote, as
            for `predict_scene`.
        output: GeoTIFF of the kinds of change.
        cfg: Settings of all pairs; settings of one date alone, such as `value_range_after`, are refused.
        probability: GeoTIFF with two bands: the probability of change, see `series_probability`; and, where the last image before
            a lasting change is the one before its first, that of change between the two.
        polygons: File of changed areas with their kind and dates: `.gpkg`, `.geojson` or `.parquet`.
        polygon_cfg: Post-processing of the polygons.
        dates: Date of each image, as text; by default as in its tags or its name, see `image_date`.
        area: Part of the first image to predict, see `scene_area`; by default all of it.
        on_pair: Called before each pair with its number, the number of pairs, and the names of both images.
        masks: Cloud mask of each image, see `CloudMask`; None for an image without one.
        report: HTML page with the map, its dates, and the largest changes at each date; not written by default.
        footprints: File of polygons to write statistics for, see `series_table`; none by default.
        footprint_output: Table of these, as for `predict_scene`.
        footprint_layer: Layer of the polygons in a GeoPackage with several.

    Raises:
        InputError: There are fewer than two images or too many, a name of a date is missing, or as for `predict_scene`.
        ConfigError: Settings of one date are given, or the model does not suit pairs of equal images.
        MissingDependencyError: rasterio is not installed, or geopandas for polygons.
    """
    start = time.monotonic()
    cfg, polygon_cfg = cfg or SceneCfg(), polygon_cfg or PolygonCfg()
    if any(is_remote(image) or is_several(image) for image in images):
        remote = [str(image) for image in images if is_remote(image)]
        if len({*remote}) < len(remote):
            raise InputError("an address is in the series twice")
        options: dict[str, Any] = {"probability": probability, "polygons": polygons, "polygon_cfg": polygon_cfg}
        options |= {"dates": dates, "area": area, "on_pair": on_pair, "report": report, "footprints": footprints}
        options |= {"footprint_output": footprint_output, "footprint_layer": footprint_layer, "masks": masks}
        with ExitStack() as stack:
            named = [image if is_remote(image) else stack.enter_context(one_raster(image)) for image in images]
            copies = stack.enter_context(local_images(named, output, area)) if remote else named
            return predict_series(model, copies, output, cfg, **options)
    paths = [Path(image) for image in images]
    names = check_series(paths, cfg, polygons is not None, dates, masks)
    masks = masks or [None] * len(paths)
    vectors = [Path(file) for file in (footprints, None if area is None else area.file) if file is not None]
    inputs = [*(file for path in paths for file in input_files(path)), *vectors]
    inputs += [file for mask in masks if mask is not None for file in input_files(mask)]
    table = table_of(output, footprints, footprint_output)
    outputs = scene_outputs(output, probability, polygons, report, inputs, FURTHER, cfg.style, table)
    zones = None if footprints is None else read_vectors(footprints, footprint_layer)
    model = resolve_model(model)
    _check_model(model)
    with ExitStack() as stack:
        stack.enter_context(outputs.locked())
        stack.enter_context(limited_cache())
        with open_raster(paths[0], "predicting series") as first:
            grid = grid_of(paths[0], first) if area is None else area.grid
        if outputs.polygons is not None:
            check_crs(outputs.polygons, paths[0], grid.crs)
        if zones is not None:
            check_zones(footprints, zones, grid)
        folder = beside(outputs.mask, "pairs")
        _check_own(folder)
        folder.mkdir(exist_ok=True)
        from_first = [(0, later) for later in range(1, len(paths))]
        pairs = [*from_first, *((later - 1, later) for later in range(2, len(paths)))]
        found, jobs = {}, []
        for number, (one, other) in enumerate(pairs, 1):
            if on_pair is not None:
                on_pair(number, len(pairs), names[one], names[other])
            maps = [folder / f"pair_{one + 1:03d}_{other + 1:03d}{end}.tif" for end in ("", "_probability")]
            options = {"probability": maps[1], "skip_finished": True, "area": area or Area(grid)}
            options |= {"mask_before": masks[one], "mask_after": masks[other]}
            result = predict_scene(model, paths[one], paths[other], maps[0], dataclasses.replace(cfg, style=False), **options)
            found[one, other] = maps[0], maps[1]
            with open_raster(maps[0]) as file:
                jobs.append(file.tags())
        tags = _tags(jobs, paths, names, polygon_cfg)
        consecutive = [(later - 1, later) for later in range(1, len(paths))]
        of_pairs = PairMaps([found[pair] for pair in from_first], [found[pair] for pair in consecutive], grid, model.task)
        page = SeriesPage(model, paths, names, cfg, polygon_cfg, area or Area(grid)) if report is not None else None
        made = write_series(outputs, of_pairs, names, tags, result.threshold, polygon_cfg, folder, zones, page)
        shutil.rmtree(folder)
    return SeriesResult(
        mask=outputs.mask,
        first_date=outputs.further[FURTHER[0]],
        last_before=outputs.further[FURTHER[1]],
        probability=outputs.probability,
        polygons=made.polygons,
        names=names,
        counts=made.counts,
        seconds=time.monotonic() - start,
        threshold=result.threshold,
        footprints=made.footprints,
        scale=result.scale,
    )


def check_series(
    images: Sequence[PathLike],
    cfg: SceneCfg,
    with_polygons: bool = False,
    dates: Sequence[str] = (),
    masks: Sequence[PathLike | None] = (),
) -> tuple[str, ...]:
    """Check the images of a series, and return the date of each, or its file name.

    A note says that images are not in the order of their dates.

    Raises:
        InputError: An image does not exist or is given twice, there are fewer than two or too many, or not one date or
            mask for each.
        ConfigError: Settings of one date are given.
    """
    most = MAX_POLYGON_IMAGES if with_polygons else _MAX_IMAGES
    if not 2 <= len(images) <= most:
        what = "a series with polygons" if with_polygons else "a series"
        raise InputError(f"{what} has 2 to {most} images, got {len(images)}")
    if dates and len(dates) != len(images):
        raise InputError(f"{len(dates)} dates for {len(images)} images; pass one for each")
    if masks and len(masks) != len(images):
        raise InputError(f"{len(masks)} masks for {len(images)} images; pass one for each, - for none")
    single = ("value_range_after", "percentiles_after", "bands_after")
    if (given := [name for name in single if getattr(cfg, name) is not None]) or cfg.decibels in ("before", "after"):
        name = given[0] if given else f"decibels={cfg.decibels}"
        raise ConfigError(f"{name}: all images of a series have the same settings; use those of all dates, such as decibels=both")
    known: list[ImageDate | None] = []
    taken: set[object] = set()
    for path in images:
        with one_raster(path) as raster:
            known.append(image_date(raster))
        if file_identity(path) in taken:
            raise InputError(f"{path}: is in the series twice")
        taken.add(file_identity(path))
    if dates:
        return tuple(dates)
    for number in range(1, len(known)):
        earlier, later = known[number - 1], known[number]
        if earlier is not None and later is not None and earlier.is_after(later):
            warnings.warn(
                f"{images[number]}: its date is {later.text} ({later.source}), that of the image before is {earlier.text} "
                f"({earlier.source}); the images of a series are passed in the order of their dates",
                stacklevel=3,
            )
            break
    paths = [Path(image) for image in images]
    texts = [date.text if date is not None else path.stem for date, path in zip(known, paths, strict=True)]
    return tuple(text if texts.count(text) == 1 else f"{text} ({path.stem})" for text, path in zip(texts, paths, strict=True))


def _check_model(model: PairModel) -> None:
    if len(set(model.bands)) > 1:
        raise ConfigError(f"{model.config.name}: has dates of different bands {tuple(model.bands)}; a series has equal images")
    if model.task.positive != "change":
        raise ConfigError(
            f"the task '{model.task.name}' maps each {model.task.positive}, also without change; a series takes a model of change"
        )


def _check_own(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and all(_OWN.fullmatch(file.name) for file in folder.iterdir())):
        raise InputError(f"{folder}: stores no pairs of an interrupted series, as its name says; move it away")


def _tags(jobs: Sequence[dict[str, str]], images: Sequence[Path], names: Sequence[str], cfg: PolygonCfg) -> dict[str, str]:
    """Return the metadata of the maps: those that all pairs share, and the images."""
    shared = {name: value for name, value in jobs[0].items() if all(job.get(name) == value for job in jobs)}
    shared = {name: value for name, value in shared.items() if name not in ("scale", "before", "after", "AREA_OR_POINT")}
    text = json.dumps([[job["job_sha256"] for job in jobs], names, dataclasses.asdict(cfg)])
    dated = {f"image_{number}": f"{path.name} ({name})" for number, (path, name) in enumerate(zip(images, names, strict=True), 1)}
    return {**shared, **dated, "job_sha256": hashlib.sha256(text.encode()).hexdigest()}

"""`predict_scene`: two rasters of any size in, a georeferenced map of change out."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo._version import __version__
from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.blocks import Part, Plan, parts
from cdzoo.inference.tta import check_mode
from cdzoo.io.rasters import limited_cache
from cdzoo.models.detector import ChangeDetector
from cdzoo.scenes.geotiff import NODATA, as_bytes, as_mask, write_cog
from cdzoo.scenes.journal import Journal, state_hash
from cdzoo.scenes.polygons import PolygonCfg, check_output, write_polygons
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report import check_report, write_report

PROBABILITY_TYPES = ("uint8", "float32")


@dataclass(frozen=True)
class SceneCfg:
    """How a scene is predicted.

    Attributes:
        tile: Side of a tile in pixels.
        overlap: Pixels that neighbouring tiles share; at most half a tile, and a quarter of it by default.
        batch_size: Tiles predicted at once.
        threshold: Probability from which a pixel counts as changed.
        augment: Test-time augmentation: `none`, `flips`, `swap` or `all`.
        value_range: Values that are black and white, for rasters that are not 8-bit.
        percentiles: Instead, percentiles of each band of each scene.
        probability: Type of the probability map, if one is written: `uint8` (200 is 1.0) or `float32`.
        progress: Show a progress line.
    """

    tile: int = 512
    overlap: int | None = None
    batch_size: int = 4
    threshold: float = 0.5
    augment: str = "none"
    value_range: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    probability: str = "uint8"
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.tile < 64 or self.batch_size < 1:
            raise ConfigError(f"a tile has at least 64 pixels and a batch one tile, got {self.tile} and {self.batch_size}")
        if self.overlap is None:
            object.__setattr__(self, "overlap", self.tile // 4)
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must be between 0 and 1, got {self.threshold}")
        if self.probability not in PROBABILITY_TYPES:
            raise ConfigError(f"probability must be one of {', '.join(PROBABILITY_TYPES)}, got '{self.probability}'")
        if self.value_range is not None and self.percentiles is not None:
            raise ConfigError("give either value_range or percentiles, not both")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ConfigError(f"value_range takes black, then white, got {self.value_range}")
        if self.percentiles is not None and not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ConfigError(f"percentiles are two rising numbers from 0 to 100, got {self.percentiles}")


@dataclass(frozen=True)
class SceneResult:
    """What was written.

    Attributes:
        mask: The map of change.
        probability: The map of its probability, if it was asked for.
        polygons: Number of polygons; None if none were asked for.
        pixels: Pixels with data in both dates.
        changed: Those of them that changed.
        seconds: Time it took.
        resumed: Parts of the scene that an earlier run had finished.
    """

    mask: Path
    probability: Path | None
    polygons: int | None
    pixels: int
    changed: int
    seconds: float
    resumed: int


def predict_scene(
    model: ChangeDetector,
    before: str | Path,
    after: str | Path,
    output: str | Path,
    cfg: SceneCfg | None = None,
    probability: str | Path | None = None,
    polygons: str | Path | None = None,
    polygon_cfg: PolygonCfg | None = None,
    report: str | Path | None = None,
) -> SceneResult:
    """Map the change between two rasters of one place into a Cloud Optimized GeoTIFF.

    The map lies on the grid of `before`; `after` is resampled to it while it is read if its grid is another one. Memory does not
    depend on the size of the scene. A run that is interrupted in any way goes on from its last finished part when it is
    started again with the same arguments, and ends with the same bytes. The mask holds 1 for change, 0 for none, and 255 (nodata)
    where a date has no data.

    Args:
        model: The detector, on the device it is to run on; it is left in the mode it was in.
        before: First date: any raster that GDAL reads.
        after: Second date.
        output: GeoTIFF of the mask.
        cfg: Settings.
        probability: GeoTIFF of the probability; not written by default.
        polygons: File of changed areas: `.gpkg`, `.geojson` or `.parquet`; not written by default.
        polygon_cfg: How they are cleaned.
        report: Page (`.html`) with both dates, the map and the largest changes; not written by default.

    Raises:
        InputError: A raster cannot be read, has other bands than the model takes, lies elsewhere, or an output has no folder.
        ConfigError: The settings do not go with the model.
        MissingDependencyError: rasterio is not installed, or geopandas for polygons.
    """
    cfg = cfg or SceneCfg()
    check_mode(cfg.augment, model.config.bands)
    targets = _targets(output, probability, polygons, report)
    start = time.monotonic()
    was_training = model.training
    model.eval()
    try:
        with ExitStack() as stack:
            stack.enter_context(limited_cache())
            options: dict[str, Any] = {"value_range": cfg.value_range, "percentiles": cfg.percentiles}
            first = stack.enter_context(RasterSource(before, model.config.bands[0], **options))
            second = stack.enter_context(RasterSource(after, model.config.bands[1], first.grid, **options))
            plan = Plan(model, first.height, first.width, cfg.tile, cfg.overlap or 0, cfg.batch_size)
            tags = _tags(model, cfg, first, second)
            journal = Journal(targets[0], _job(tags, before, after, cfg, len(targets) > 1))
            resumed = journal.finished(plan.order)
            finished = parts(model, first, second, plan, journal, cfg.augment, resumed)
            _keep(finished, journal, plan, cfg, len(targets) > 1, resumed)
    finally:
        model.train(was_training)
    pixels, changed = _write(targets, first, plan, journal, cfg, tags)
    count = None if polygons is None else write_polygons(targets[0], targets[1], polygons, polygon_cfg)
    if report is not None:
        write_report(report, before, after, targets[0], targets[1], cfg, polygon_cfg)
    journal.remove()
    if probability is None and len(targets) > 1:
        targets[1].unlink()
    shown = None if probability is None else targets[1]
    return SceneResult(targets[0], shown, count, pixels, changed, time.monotonic() - start, resumed)


def _targets(
    output: str | Path, probability: str | Path | None, polygons: str | Path | None, report: str | Path | None
) -> list[Path]:
    """Return the rasters to write, the mask first: polygons and report need the probability too, in a hidden file if need be."""
    targets = [Path(path) for path in (output, probability) if path is not None]
    for target in targets:
        if target.suffix.lower() not in (".tif", ".tiff"):
            raise InputError(f"{target}: a map of a scene is a GeoTIFF: name it .tif")
        if not target.resolve().parent.is_dir():
            raise InputError(f"{target}: there is no folder {target.parent}; make it first")
    if polygons is not None:
        check_output(polygons)
    if report is not None:
        check_report(report)
    if len(targets) == 1 and (polygons is not None or report is not None):
        targets.append(targets[0].with_name(f".{targets[0].stem}.probability.tif"))
    return targets


def _keep(finished: Iterator[Part], journal: Journal, plan: Plan, cfg: SceneCfg, with_probability: bool, resumed: int) -> None:
    """Write parts to the journal while the next ones are predicted."""
    from tqdm import tqdm

    sizes = [plan.finished_rows(strip).size * plan.finished_columns(part).size for strip, part in plan.order]
    shown = cfg.progress and sys.stderr.isatty()
    look: dict[str, Any] = {"unit": "px", "unit_scale": True, "desc": "mapping", "dynamic_ncols": True, "disable": not shown}
    bar = tqdm(total=sum(sizes), initial=sum(sizes[:resumed]), **look)
    with ThreadPoolExecutor(1) as writer, bar:
        pending: Future[None] | None = None
        for part in finished:
            arrays: dict[str, npt.NDArray[Any]] = {"mask": as_mask(part.probability, part.valid, cfg.threshold)}
            if with_probability:
                arrays["probability"] = _stored(part, cfg.probability)
            if pending is not None:
                pending.result()  # parts are finished in order, and a disk that is full stops the run
            pending = writer.submit(journal.write, part.strip, part.number, **arrays)
            bar.update(part.rows.size * part.columns.size)
        if pending is not None:
            pending.result()


def _stored(part: Part, dtype: str) -> npt.NDArray[Any]:
    if dtype == "uint8":
        return as_bytes(part.probability, part.valid)
    return np.where(part.valid, part.probability, np.nan).astype(np.float32)


def _write(
    targets: list[Path], first: RasterSource, plan: Plan, journal: Journal, cfg: SceneCfg, tags: dict[str, str]
) -> tuple[int, int]:
    """Make the parts into files; the mask, which tells that all is done, last."""
    pixels = changed = 0

    def kept(name: str) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        nonlocal pixels, changed
        for strip, part in plan.order:
            values = journal.read(strip, part, name)
            if name == "mask":
                pixels += int((values != NODATA).sum())
                changed += int((values == 1).sum())
            yield plan.finished_rows(strip).start, plan.finished_columns(part).start, values

    if len(targets) > 1:
        scale = {"scale": "0.005"} if cfg.probability == "uint8" else {}
        nodata = float(NODATA) if cfg.probability == "uint8" else float("nan")
        write_cog(targets[1], first.grid, cfg.probability, nodata, kept("probability"), {**tags, **scale})
    write_cog(targets[0], first.grid, "uint8", NODATA, kept("mask"), tags)
    return pixels, changed


def _tags(model: ChangeDetector, cfg: SceneCfg, first: RasterSource, second: RasterSource) -> dict[str, str]:
    """Return the metadata of the map: how it was made, without the places of files on this machine."""
    return {
        "cdzoo": __version__,
        "model": model.config.name,
        "weights_sha256": state_hash(model.state_dict()),
        "threshold": f"{cfg.threshold:g}",
        "tile": f"{cfg.tile}, overlap {cfg.overlap}",
        "augment": cfg.augment,
        "before": Path(first.path).name,
        "after": Path(second.path).name,
        "values_before": first.values,
        "values_after": second.values,
    }


def _job(tags: dict[str, str], before: str | Path, after: str | Path, cfg: SceneCfg, with_probability: bool) -> dict[str, Any]:
    """Return all that the parts depend on, the files by size and time of their last change."""
    files = [[str(Path(path).resolve()), Path(path).stat().st_size, Path(path).stat().st_mtime_ns] for path in (before, after)]
    settings = {key: value for key, value in dataclasses.asdict(cfg).items() if key != "progress"}
    return {"tags": tags, "files": files, "settings": settings, "with_probability": with_probability}

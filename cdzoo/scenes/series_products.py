"""Maps and polygons of a series, combined from the maps of its pairs block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cdzoo.constants import IGNORE_INDEX, RGB
from cdzoo.errors import InputError
from cdzoo.inference.sources import Array
from cdzoo.io.files import replace_atomically
from cdzoo.io.georeference import Grid
from cdzoo.io.vectors import write_vectors
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.footprints import LAYER as ZONES
from cdzoo.scenes.footprints import PREFIX, check_footprints, footprint_table
from cdzoo.scenes.geotiff import STEPS, is_changed, replace_raster, write_cog
from cdzoo.scenes.outputs import LAYER, Outputs, writing
from cdzoo.scenes.pair_maps import BANDS, PairMaps
from cdzoo.scenes.persistence import KINDS, LASTING, PASSING
from cdzoo.scenes.polygons import changed_areas, trace
from cdzoo.scenes.products import finish_outputs
from cdzoo.scenes.report import Table, footprint_summary
from cdzoo.scenes.styles import polygon_style, store_style, style_text
from cdzoo.tasks import BinaryTask, MapSpec, Task
from cdzoo.tiling import Window

FURTHER = ("first_date", "last_before")
"""Maps next to that of the kinds of change."""
MAX_POLYGON_IMAGES = 22  # whose combinations of kind and dates are fewer than the values of a map
SeriesReport = Callable[[Path, Path, Path, Task, Sequence[Table]], None]
"""Writes a report to a file, from the map of the states, the probability, the task of this map, and further tables."""
_COLORS: tuple[RGB, ...] = ((0, 0, 0), (255, 60, 60), (60, 130, 240), (250, 200, 40))
_OTHERS: tuple[RGB, ...] = ((255, 140, 0), (255, 105, 180))  # of passing and unconfirmed changes beside those of the dates
_RAMP: tuple[RGB, ...] = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


class SeriesCounts(NamedTuple):
    """Numbers of pixels.

    Attributes:
        kinds: Of each kind of change, by name.
        dates: Lasting changes by the number of their first image.
        supported: Lasting changes that are also seen between the image before their first one and that, from the third image on:
            the probability of that pair is at least half the threshold.
        comparable: Lasting changes from the third image on for which the image before has data.
    """

    kinds: dict[str, int]
    dates: dict[int, int]
    supported: int
    comparable: int


class SeriesProducts(NamedTuple):
    """What `write_series` wrote.

    Attributes:
        polygons: Number of polygons; None if they were not requested.
        counts: Numbers of pixels.
        footprints: Table of statistics per footprint; None if it was not requested.
    """

    polygons: int | None
    counts: SeriesCounts
    footprints: Any


def write_series(
    outputs: Outputs,
    pairs: PairMaps,
    names: Sequence[str],
    tags: Mapping[str, str],
    threshold: float,
    cfg: PolygonCfg,
    folder: Path,
    footprints: Any = None,
    report: SeriesReport | None = None,
) -> SeriesProducts:
    """Write all outputs under temporary names, and rename them when they are complete; the main map is renamed last.

    Args:
        outputs: Files to write.
        pairs: Maps of the pairs.
        names: Name or date of each image.
        tags: Metadata of the maps.
        threshold: Minimum probability for a pixel to count as changed.
        cfg: Post-processing of the polygons.
        folder: Folder for temporary files.
        footprints: Polygons (GeoDataFrame) of the table.
        report: Writes the report.

    Raises:
        InputError: A file cannot be written.
    """
    legends = series_legends(names)
    count = table = None
    with ExitStack() as stack:

        def write(path: Path, blocks: Callable[[], Iterator[tuple[Window, Array]]], **options: Any) -> Path:
            file = stack.enter_context(replace_raster(path))
            with writing(path):
                write_cog(file, folder, pairs.grid, "uint8", blocks, **options)
            return file

        def values(field: str) -> Callable[[], Iterator[tuple[Window, Array]]]:
            return lambda: ((window, getattr(found, field)) for window, found in pairs.classified())

        maps: dict[str, Path] = {}
        paths = zip(("kind", "first", "last_before"), (outputs.mask, *outputs.further.values()), legends.items(), strict=True)
        for field, path, (name, legend) in paths:
            maps[name] = write(path, values(field), tags=tags, bands=(name,), legend=legend)
        if outputs.needs_probability:
            path = outputs.probability or folder / "change_probability.tif"
            scaled = {**tags, "scale": f"{1 / STEPS:g}"}
            probability = write(path, pairs.probabilities, tags=scaled, bands=BANDS, scale=1 / STEPS)
            if outputs.polygons is not None:
                file = stack.enter_context(replace_atomically(outputs.polygons))
                with writing(outputs.polygons):
                    count = _write_polygons(file, pairs, names, probability, cfg, folder)
                    if outputs.with_styles and "polygons" not in outputs.styled:
                        store_style(file, style_text(polygon_style(_SeriesTask(legends))))
            if outputs.footprints is not None:
                table = series_table(footprints, maps, probability, names)
                file = stack.enter_context(replace_atomically(outputs.footprints))
                with writing(outputs.footprints):
                    write_vectors(file, table, ZONES)
            if outputs.report is not None and report is not None:
                states = folder / "change_states.tif"
                legend = state_legend(names)
                write_cog(states, folder, pairs.grid, "uint8", lambda: pairs.states(len(names)), tags, ("change",), legend)
                file = stack.enter_context(replace_atomically(outputs.report))
                with writing(outputs.report):
                    zones = [] if table is None else [footprint_summary(table, pairs.grid)]
                    report(file, states, probability, _SeriesTask({"change": legend}), zones)
        counts = _count(pairs, threshold)
        finish_outputs(outputs, _SeriesTask(legends), stack)
    return SeriesProducts(count, counts, table)


def state_legend(names: Sequence[str]) -> MapSpec:
    """Return the names and colors of the values of `PairMaps.states`."""
    if len(names) == 2:
        return MapSpec(("no change", f"change until {names[1]}"), _COLORS[:2])
    colors = series_legends(names)[FURTHER[0]].colors
    since = [f"lasting change since {name}" for name in names[1:]]
    return MapSpec(("no change", *since, *KINDS[PASSING:]), (colors[0], *colors[2:], *_OTHERS))


def series_table(polygons: Any, maps: Mapping[str, Path], probability: Path, names: Sequence[str]) -> Any:
    """Return the footprints as `footprint_table` does, with the date of the lasting change of each.

    The columns of the kinds of change are those of a map of several classes. Further columns: `cd_first_date` and
    `cd_last_before`, those of most pixels with a lasting change; and the pixels and the area of lasting changes by their first
    date, such as `cd_px_2021-06-01`.

    Args:
        polygons: The footprints (GeoDataFrame).
        maps: Map of each name of `series_legends`.
        probability: Probability of the series.
        names: Name or date of each image.
    """
    table = footprint_table(polygons, maps["change"], probability)
    first, last = (footprint_table(polygons, maps[name]) for name in FURTHER)
    columns = {f"{PREFIX}{name}": dated[f"{PREFIX}class"] for name, dated in zip(FURTHER, (first, last), strict=True)}
    dated = [f"{PREFIX}{unit}_{name}" for unit in ("px", "m2") for name in names[1:]]
    columns |= {name: first[name] for name in dated if name in first.columns and name not in table.columns}
    notes = [f"{PREFIX}{name}" for name in ("inside", "all_touched", "remark")]
    ends = table[notes]
    return table.drop(columns=notes).assign(**columns, **{name: ends[name] for name in notes})


def check_zones(name: object, polygons: Any, grid: Grid) -> None:
    """Check that the columns of `series_table` can be added to polygons, as `check_footprints` does.

    Raises:
        InputError: They cannot.
    """
    check_footprints(name, polygons, grid)
    if taken := [PREFIX + title for title in FURTHER if PREFIX + title in polygons.columns]:
        raise InputError(f"{name}: has the attribute(s) {', '.join(taken)} already; pass the polygons without them")


def series_legends(names: Sequence[str]) -> dict[str, MapSpec]:
    """Return the names and colors of the values of each map, that of the kinds first."""
    kinds = MapSpec(KINDS, _COLORS)
    if len(names) == 2:
        kinds = MapSpec(("no change", "change"), _COLORS[:2])
    place = np.linspace(0, len(_RAMP) - 1, len(names))
    ramp = np.stack([np.interp(place, np.arange(len(_RAMP)), channel) for channel in np.array(_RAMP).T], 1).round().astype(int)
    colors = ((0, 0, 0), *(tuple(color) for color in ramp.tolist()))
    return {"change": kinds, **dict.fromkeys(FURTHER, MapSpec(("no lasting change", *names), colors))}


class _SeriesTask(BinaryTask):
    """Maps of a series as those of a task."""

    def __init__(self, maps: dict[str, MapSpec]) -> None:
        super().__init__()
        self._maps = maps

    @property
    def maps(self) -> dict[str, MapSpec]:
        """The maps."""
        return self._maps


def _write_polygons(target: Path, pairs: PairMaps, names: Sequence[str], probability: Path, cfg: PolygonCfg, folder: Path) -> int:
    """Write the areas of one kind and one interval of dates, and return their number."""
    import geopandas
    import rasterio

    events: dict[tuple[int, int, int], int] = {}
    for _, found in pairs.classified():
        for event in np.unique(np.stack(found, -1)[is_changed(found.kind)], axis=0).tolist():
            events.setdefault(tuple(event), len(events) + 1)

    def numbered() -> Iterator[tuple[Window, Array]]:
        for window, found in pairs.classified():
            value = np.where(found.kind == IGNORE_INDEX, IGNORE_INDEX, 0).astype(np.uint8)
            for event, number in events.items():
                value[np.logical_and.reduce([part == wanted for part, wanted in zip(found, event, strict=True)])] = number
            yield window, value

    file = folder / "change_events.tif"
    write_cog(file, folder, pairs.grid, "uint8", numbered, {})
    task = _SeriesTask({"event": MapSpec(("",) * (len(events) + 1), ((0, 0, 0),) * (len(events) + 1))})
    with rasterio.open(file) as opened, rasterio.open(probability) as probabilities:
        areas = changed_areas(trace({"event": opened}, probabilities, task), task, cfg)
    of_number = {number: event for event, number in events.items()}
    kinds = series_legends(names)["change"].class_names
    of_area = [of_number[value] for value in areas.values["event"].tolist()]
    columns: dict[str, Any] = {
        "class": [kinds[kind] for kind, *_ in of_area],
        "first_image": [first for _, first, _ in of_area],
        "first_date": [names[first - 1] if first else None for _, first, _ in of_area],
        "last_before": [names[last - 1] if last else None for *_, last in of_area],
        "pixels": areas.pixels,
        "mean_probability": areas.mean_probability,
        "area_m2" if pairs.grid.crs is not None else "area_px": areas.area,
    }
    frame = geopandas.GeoDataFrame(columns, geometry=areas.geometry, crs=pairs.grid.crs)
    frame = frame.astype({name: "string" for name in ("class", "first_date", "last_before")} | {"first_image": "int64"})
    write_vectors(target, frame, LAYER)
    return len(frame)


def _count(pairs: PairMaps, threshold: float) -> SeriesCounts:
    kinds, dates, supported, comparable = np.zeros(256, np.int64), np.zeros(256, np.int64), 0, 0
    for window, found in pairs.classified():
        kinds += np.bincount(found.kind.ravel(), minlength=256)
        dates += np.bincount(found.first[found.kind == LASTING], minlength=256)
        step = pairs.steps(window, found)[found.first > 2]
        comparable += int((~np.isnan(step)).sum())
        supported += int((step >= threshold / 2).sum())
    names = {name: int(count) for name, count in zip(KINDS, kinds, strict=False)}
    return SeriesCounts(names, {number: int(count) for number, count in enumerate(dates) if count}, supported, comparable)

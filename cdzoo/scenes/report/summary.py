"""Compute the content of a report from the maps, the polygons and the model of a scene."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX, RGB
from cdzoo.inference.weights import WeightsSummary
from cdzoo.io.dates import image_date
from cdzoo.io.georeference import describe
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.geotiff import read_change_probability
from cdzoo.scenes.polygons import ChangedAreas, Outlines, class_columns
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report.content import TOP, Box, Cell, Column, ImageSummary, Outline, Report, SeriesContent, Table, area_text
from cdzoo.scenes.report.place import Place
from cdzoo.tasks import Task
from cdzoo.visualize import IGNORED_COLOR

_ROUNDING = 1e-9  # of 1 - p
_MAX_AREAS = 200
_MAX_CLASSES = 40  # of a map
_THRESHOLDS = tuple(step / 10 for step in range(1, 10))
_NAMES = {"f1": "F1", "sek": "SeK", "xview2": "xView2 score"}
_Kinds = Sequence[tuple[str, str, Sequence[str]]]
"""Columns of classes, see `class_columns`."""
PLURALS = {"change": "changes", "building": "building areas"}


def summarize(
    dates: tuple[RasterSource, RasterSource],
    maps: Mapping[str, Any],
    probabilities: Any,
    task: Task,
    weights: WeightsSummary,
    outlines: Outlines,
    areas: ChangedAreas,
    cfg: PolygonCfg,
    tables: Sequence[Table] = (),
    series: SeriesContent | None = None,
) -> Report:
    """Return the content of the report of a scene; the arguments are those of `write_report`."""
    main, *_ = maps
    tags = maps[main].tags()
    threshold = float(tags["threshold"])
    counts, reached = _count(maps, probabilities, task, threshold)
    valid = int(counts[main][:IGNORE_INDEX].sum())
    changed = valid - int(counts[main][0])
    images = (_image(dates[0]), _image(dates[1]))
    place, unit = Place(outlines.grid), "m²" if outlines.grid.crs else "pixels"
    listed = _outlines(areas, outlines, task)
    return Report(
        images=images,
        place=place,
        positive=task.positive,
        area=float(outlines.areas.sum()),
        changed=changed,
        valid=valid,
        threshold=threshold,
        shares={step: (changed if step == threshold else count) / max(1, valid) for step, count in reached.items()},
        count=len(areas),
        largest=float(areas.area[0]) if len(areas) else 0.0,
        outlines=listed,
        top=_top(areas, listed, task, place, unit),
        areas=_areas(areas, listed, task, place, unit, cfg),
        classes={name: _classes(task, name, counts[name], outlines, unit) for name in maps} if task.has_legend else {},
        legends={name: _legend(task, name, counts[name], outlines) for name in maps},
        facts={**({} if series is None else series.facts), **_facts(images, tags, weights, threshold, place)},
        details=tags,
        warnings=_warnings(images, weights, valid),
        tables=tables,
        explanation="" if series is None else series.explanation,
    )


def _image(source: RasterSource) -> ImageSummary:
    return ImageSummary(Path(source.path).name, image_date(source.path))


def _count(
    maps: Mapping[str, Any], probabilities: Any, task: Task, threshold: float
) -> tuple[dict[str, npt.NDArray[np.int64]], dict[float, int]]:
    """Return the number of pixels of each value (256,) of each map, and the number that reach each threshold."""
    counts = {name: np.zeros(256, np.int64) for name in maps}
    reached = dict.fromkeys(sorted({*_THRESHOLDS, threshold}), 0)
    main, *_ = maps.values()
    for _, window in main.block_windows(1):
        for name, file in maps.items():
            counts[name] += np.bincount(file.read(1, window=window).ravel(), minlength=256)
        values = read_change_probability(probabilities, task, window)
        for step in reached:
            reached[step] += int(np.count_nonzero(values >= step - _ROUNDING))
    return counts, reached


def _outlines(areas: ChangedAreas, outlines: Outlines, task: Task) -> list[Outline]:
    """Return the largest areas in pixels."""
    import shapely

    polygons = shapely.transform(areas.geometry[:_MAX_AREAS], outlines.grid.pixels)
    boxes = [_box(bounds) for bounds in shapely.bounds(polygons).reshape(-1, 4).tolist()]
    found = []
    for index, (polygon, box) in enumerate(zip(polygons, boxes, strict=True)):
        kinds = [names[areas.values[name][index]] for _, name, names in class_columns(task)[:1]]
        size = area_text(float(areas.area[index]), outlines.grid.crs is not None)
        label = ", ".join([*kinds, size, f"probability {areas.mean_probability[index]:.2f}"])
        found.append(Outline(index + 1, polygon, box, label))
    return found


def _box(bounds: Sequence[float]) -> Box:
    left, top, right, bottom = bounds
    return left, top, right - left, bottom - top


def _top(areas: ChangedAreas, listed: Sequence[Outline], task: Task, place: Place, unit: str) -> Table:
    """Return the short table of the largest areas: their class, or their location if there are no classes."""
    kinds = class_columns(task)[:1]
    shown = listed[:TOP]
    columns = [*_columns(areas, kinds, unit), Column("probability", ".2f"), *([] if kinds else [Column(place.title)])]
    rows = []
    for one, where in zip(shown, _locations(shown, place), strict=True):
        mean = float(areas.mean_probability[one.number - 1])
        rows.append([*_cells(areas, kinds, one.number - 1), mean, *([] if kinds else [where])])
    return Table(f"Largest {PLURALS[task.positive]}", columns, rows, boxes=[one.box for one in shown])


def _areas(areas: ChangedAreas, listed: Sequence[Outline], task: Task, place: Place, unit: str, cfg: PolygonCfg) -> Table:
    """Return the table of the listed areas, with the totals of the others and of all."""
    kinds = class_columns(task)
    columns = [*_columns(areas, kinds, unit), Column("pixels", ",d"), Column("mean probability", ".2f"), Column(place.title)]
    rows: list[list[Cell]] = []
    for index, where in enumerate(_locations(listed, place)):
        pixels, mean = int(areas.pixels[index]), float(areas.mean_probability[index])
        rows.append([*_cells(areas, kinds, index), pixels, mean, where])
    footer: list[list[Cell]] = []
    parts = {"smaller": slice(len(listed), None), "all": slice(None)}
    for title, part in parts.items():
        if count := len(areas.pixels[part]):
            pixels = int(areas.pixels[part].sum())
            mean = float(np.average(areas.mean_probability[part], weights=areas.pixels[part]))
            footer.append([f"{title}: {count:,}", *[None] * len(kinds), float(areas.area[part].sum()), pixels, mean, None])
    notes = [f"The {len(listed)} largest of {len(areas):,}."] if len(listed) < len(areas) else []
    if text := _cleaning(cfg, unit):
        notes.append(f"{text} Areas therefore differ from those of the map; pixels and probability are those of the map.")
    return Table(f"All {PLURALS[task.positive]}", columns, rows, footer, " ".join(notes), [one.box for one in listed])


def _columns(areas: ChangedAreas, kinds: _Kinds, unit: str) -> list[Column]:
    """Return the columns of `_cells`."""
    form = ",.0f" if not len(areas) or areas.area[0] >= 100 else ",.2f"
    return [Column("#", "d"), *(Column(title.replace("_", " ")) for title, *_ in kinds), Column(f"area ({unit})", form)]


def _cells(areas: ChangedAreas, kinds: _Kinds, index: int) -> list[Cell]:
    return [index + 1, *(names[areas.values[name][index]] for _, name, names in kinds), float(areas.area[index])]


def _locations(listed: Sequence[Outline], place: Place) -> list[str]:
    points = [one.polygon.representative_point().coords[0] for one in listed]
    return place.texts(np.array(points, np.float64).reshape(-1, 2))


def _cleaning(cfg: PolygonCfg, unit: str) -> str:
    """Describe how polygons were cleaned; empty if they were not."""
    steps = [
        f"areas of less than {cfg.min_area:g} {unit} are left out" if cfg.min_area else "",
        f"holes of less than {cfg.fill_holes:g} {unit} are filled" if cfg.fill_holes else "",
        f"outlines are simplified by {cfg.simplify:g} pixels" if cfg.simplify else "",
    ]
    text = ", ".join(step for step in steps if step)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _classes(task: Task, name: str, counts: npt.NDArray[np.int64], outlines: Outlines, unit: str) -> Table:
    """Return the table of the values of a map that occur, most frequent first."""
    spec, areas = task.maps[name], outlines.class_areas(name)
    pixels = counts[: len(spec.class_names)]
    total = max(1, int(pixels.sum()))
    order = [int(value) for value in np.argsort(-pixels, kind="stable") if pixels[value]]
    shown, left = order[:_MAX_CLASSES], order[_MAX_CLASSES:]
    columns = [Column(name.replace("_", " ")), Column("pixels", ",d"), Column("share", ".2%"), Column(f"area ({unit})", ",.0f")]
    rows = [
        (spec.class_names[value], int(pixels[value]), pixels[value] / total, float(areas[value]) if value else None)
        for value in shown
    ]
    footer = (
        [(f"{len(left)} others", int(pixels[left].sum()), pixels[left].sum() / total, float(areas[left].sum()))] if left else []
    )
    changed = int(pixels[1:].sum())
    footer.append((f"all but {spec.class_names[0]}", changed, changed / total, float(areas[1:].sum())))
    return Table(f"Classes: {name.replace('_', ' ')}", columns, rows, footer, colors=[spec.colors[value] for value in shown])


def _legend(task: Task, name: str, counts: npt.NDArray[np.int64], outlines: Outlines) -> list[tuple[str, RGB]]:
    """Return the text and color of the values of a map that occur, without the first one, most frequent first."""
    spec = task.maps[name]
    order = [value for value in np.argsort(-counts[1 : len(spec.class_names)], kind="stable") + 1 if counts[value]]
    if task.has_legend:
        areas = outlines.class_areas(name)
        texts = {value: f"{spec.class_names[value]} ({area_text(areas[value], bool(outlines.grid.crs))})" for value in order}
    else:
        texts = dict.fromkeys(order, task.positive)
    entries = [(texts[value], spec.colors[value]) for value in order]
    return entries + ([("no data", IGNORED_COLOR)] if counts[IGNORE_INDEX] else [])


def _facts(
    images: tuple[ImageSummary, ImageSummary], tags: Mapping[str, str], weights: WeightsSummary, threshold: float, place: Place
) -> dict[str, str]:
    grid = place.grid
    scores = ", ".join(f"{_NAMES.get(name, name)} {value:.1%}" for name, value in weights.scores.items())
    dates = [f"{image.date.text} ({image.date.source})" if image.date else "not known" for image in images]
    pixel = f" of {place.meters:.3g} m" if place.meters else ""
    system = describe(grid).removeprefix("the coordinate reference system ")
    (center,) = place.texts(grid.size[None] / 2)
    facts = {
        "image dates": f"before: {dates[0]}; after: {dates[1]}",
        "weights": f"{weights.name}, sha256 {weights.sha256[:12]}" if weights.name else "none loaded",
        "trained on": weights.data or ("not known" if weights.name else ""),
        "score": f"{scores} ({weights.measured})" if scores else "none known" if weights.name else "",
        "threshold": f"{threshold:g}",
        "predicted": f"{datetime.date.today().isoformat()}, model {tags.get('model', '')}, cdzoo {tags.get('cdzoo', '')}",
        "scene": f"{grid.width:,} x {grid.height:,} pixels{pixel}, {system}",
        "center": f"{center} ({place.title})" if grid.is_placed else "",
    }
    return {name: text for name, text in facts.items() if text}


def _warnings(images: tuple[ImageSummary, ImageSummary], weights: WeightsSummary, valid: int) -> list[str]:
    first, second = (image.date for image in images)
    found = [weights.warning] if weights.warning else []
    if first is not None and second is not None and first.is_after(second):
        found.append(
            f"The first image is dated later than the second ({first.text} in its {first.source}, {second.text} in its "
            f"{second.source}): check their order."
        )
    if not valid:
        found.append("No pixel has data in both dates, so nothing could be compared.")
    return found

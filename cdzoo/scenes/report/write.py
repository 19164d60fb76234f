"""`write_report`: report of a predicted scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdzoo.inference.model import PairModel
from cdzoo.inference.weights import summarize_weights
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.polygons import ChangedAreas, Outlines
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report.content import TOP, SeriesContent, Table
from cdzoo.scenes.report.page import render
from cdzoo.scenes.report.pictures import draw_pictures
from cdzoo.scenes.report.summary import summarize


def write_report(
    target: Path,
    dates: tuple[RasterSource, RasterSource],
    maps: Mapping[str, Any],
    probabilities: Any,
    model: PairModel,
    outlines: Outlines,
    areas: ChangedAreas,
    cfg: PolygonCfg,
    tables: Sequence[Table] = (),
    series: SeriesContent | None = None,
) -> None:
    """Write the report of a scene predicted by `predict_scene`.

    Args:
        target: HTML file.
        dates: Both dates, on one grid.
        maps: Open map of each name, the main one first.
        probabilities: Their open probability map.
        model: The model.
        outlines: Outlines of the changed areas, as traced.
        areas: Changed areas, largest first.
        cfg: Post-processing of the changed areas.
        tables: Further tables, shown below the others.
        series: The series, of which `dates` are the first and the last.
    """
    task, weights = model.task if series is None else series.task, summarize_weights(model)
    report = summarize(dates, maps, probabilities, task, weights, outlines, areas, cfg, tables, series)
    pictures = draw_pictures(dates, maps, report.outlines[:TOP], series)
    page = render(report, pictures, {name: task.maps[name].colors for name in maps})
    target.write_text(page, encoding="utf-8")

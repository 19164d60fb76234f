"""Table of footprints in a report."""

from __future__ import annotations

from typing import Any

import numpy as np

from cdzoo.io.georeference import Grid
from cdzoo.scenes.footprints import PREFIX, summary
from cdzoo.scenes.placed import place_polygons
from cdzoo.scenes.report.content import Box, Cell, Column, Table

_MAX_ROWS = 50
_NAMES = ("name", "id", "fid")


def footprint_summary(table: Any, grid: Grid) -> Table:
    """Return the footprints with the largest changed areas as a table whose rows zoom the map.

    Args:
        table: Output of `footprint_table`.
        grid: Grid of the map.
    """
    unit, sign = ("m2", "m²") if f"{PREFIX}area_m2" in table.columns else ("px", "pixels")
    changed = table[f"{PREFIX}changed_{unit}"].to_numpy(np.float64)
    order = np.argsort(-np.nan_to_num(changed), kind="stable")
    shown = table.iloc[[index for index in order[:_MAX_ROWS] if changed[index] > 0]]
    lower = {str(column).lower(): column for column in table.columns}
    labels = [lower[name] for name in _NAMES if name in lower]
    columns = [Column(str(label)) for label in labels] or [Column("row", "d")]
    given = {f"changed_{unit}": (f"changed ({sign})", ",.0f"), f"area_{unit}": (f"area ({sign})", ",.0f")}
    given |= {"changed_share": ("share changed", ".1%"), "unknown_share": ("share without data", ".1%")}
    given |= {"mean_probability": ("mean probability", ".2f"), "class": ("class", "")}
    given |= {"first_date": ("since", "")}
    known = {PREFIX + name: Column(*column) for name, column in given.items() if PREFIX + name in table.columns}
    columns += known.values()
    rows: list[list[Cell]] = []
    for index, (_, row) in zip(order, shown.iterrows(), strict=False):
        named: list[Cell] = [str(row[label]) for label in labels] or [int(index) + 1]
        rows.append([*named, *(_value(row[name], column) for name, column in known.items())])
    boxes = [_box(polygon.bounds) for polygon in place_polygons(shown, grid).pixels] if rows else []
    return Table("Footprints with the most change", columns, rows, note=f"{summary(table)}.", boxes=boxes)


def _value(value: Any, column: Column) -> Cell:
    if not column.form:
        return value if isinstance(value, str) else None
    return float(value) if np.isfinite(value) else None


def _box(bounds: tuple[float, ...]) -> Box:
    left, top, right, bottom = bounds
    return left, top, right - left, bottom - top

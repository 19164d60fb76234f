"""Elements of the page of a report: text, tables, legends and outlines. Whatever comes from files is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cdzoo.constants import RGB
from cdzoo.errors import printable
from cdzoo.scenes.report.content import Box, Cell, Column, Outline, Table

_MAX_ENTRIES = 12  # of a legend
_DETAIL = 300  # an outline is drawn to this part of its longer side
_STEPS, _SMALL = 0.75, 8  # pixels; steps along slanting borders of areas that are not small are drawn as lines
_HOLE = 25  # holes are drawn whose side is this part of it or longer
_NUMBERED = 10  # outlines whose numbers are always shown
_UPPER = 0.04  # part of the scene in which there may be no room above an outline


def escape(text: object) -> str:
    """Return a text for HTML, with control characters escaped."""
    return html.escape(printable(text))


def title_of(name: str) -> str:
    """Return the name of a map or an attribute as it is shown."""
    return escape(name.replace("_", " "))


def class_if(name: str, given: bool) -> str:
    """Return the attribute `class` if it applies."""
    return f' class="{name}"' if given else ""


def definition_list(facts: Mapping[str, str]) -> str:
    """Return the entries of a list of facts."""
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())


def box_text(box: Box) -> str:
    """Return a rectangle as an SVG `viewBox`."""
    return " ".join(f"{value:.8g}" for value in box)


def outline_path(polygon: Any) -> str:
    """Return a polygon as the description of an SVG path, without details that are too small to be seen."""
    import shapely

    left, top, right, bottom = polygon.bounds
    longest = max(right - left, bottom - top)
    tolerance, hole = max(longest / _DETAIL, _STEPS if longest >= _SMALL else 0.0), (longest / _HOLE) ** 2
    outer, *inner = shapely.get_rings(polygon)
    holes = [ring for ring, area in zip(inner, shapely.area(shapely.polygons([outer, *inner]))[1:], strict=True) if area >= hole]
    simple = shapely.simplify(shapely.Polygon(outer, holes), tolerance)
    rings = [simple.exterior, *simple.interiors]
    points = [shapely.get_coordinates(ring)[:-1].round(2).tolist() for ring in rings]
    return "".join(f"M{' '.join(f'{x:.8g},{y:.8g}' for x, y in ring)}Z" for ring in points)


def outline_number(one: Outline, height: int) -> str:
    """Return the number of an outline, above it, or below it at the upper border of a scene of a height."""
    return (
        f'<text {_place(one, height)} data-outline="o{one.number}" data-box="{box_text(one.box)}"'
        f"{class_if('small off', one.number > _NUMBERED)}>{one.number}</text>"
    )


def printed_number(one: Outline, height: int, size: float) -> str:
    """Return the number of an outline with letters of a size, in pixels of the scene."""
    look = f'font-size="{size:.4g}" stroke-width="{size / 4:.4g}" fill="#fff" stroke="#000" paint-order="stroke"'
    return f'<text {_place(one, height)} {look} text-anchor="middle">{one.number}</text>'


def crop_title(title: str, box: Box) -> str:
    """Return the title of a crop, at its upper left corner."""
    left, top, wide, _ = box
    size = wide / 12
    look = f'font-size="{size:.4g}" stroke-width="{size / 4:.4g}" fill="#fff" stroke="#000" paint-order="stroke"'
    return f'<text x="{left + size / 3:.8g}" y="{top + 1.1 * size:.8g}" {look}>{escape(title)}</text>'


def _place(one: Outline, height: int) -> str:
    left, top, wide, tall = one.box
    y, shift = (top, "-0.3em") if top > _UPPER * height else (top + tall, "1em")
    return f'x="{left + wide / 2:.8g}" y="{y:.8g}" dy="{shift}"'


def color_box(color: RGB) -> str:
    """Return a small square in a color."""
    fill = "".join(f"{part:02x}" for part in color)
    return f'<svg class="box" viewBox="0 0 1 1"><rect width="1" height="1" fill="#{fill}"/></svg>'


def legend_list(index: int, entries: Sequence[tuple[str, RGB]]) -> str:
    """Return the legend of a map, given its index; that of the first map is shown."""
    items = "".join(f"<li>{color_box(color)}{escape(name)}</li>" for name, color in entries[:_MAX_ENTRIES])
    left = len(entries) - _MAX_ENTRIES
    more = f"<li>and {left} others, in the table below</li>" if left > 0 else ""
    return f'<ul data-legend="{index}"{class_if("off", index > 0)}>{items}{more}</ul>'


def html_table(table: Table, outlines: Sequence[Outline] = (), empty: str = "") -> str:
    """Return a table under its title.

    Args:
        table: The table. A row with a box zooms the map; the button in its first cell does so for the keyboard.
        outlines: Outline of each row.
        empty: Text of a table without rows.
    """
    head = "".join(f'<th scope="col"{_numeric(column)}>{escape(column.title)}</th>' for column in table.columns)
    rows = []
    for index, row in enumerate(table.rows):
        cells, attributes = _cells(row, table.columns), ""
        if table.boxes:
            attributes = f' data-box="{box_text(table.boxes[index])}"'
            cells[0] = f'<button type="button" title="show on the map">{cells[0]}</button>'
        if outlines:
            one = outlines[index]
            attributes += f' data-outline="o{one.number}" data-label="{one.number}: {escape(one.label)}"'
        if table.colors:
            cells[0] = color_box(table.colors[index]) + cells[0]
        rows.append(f"<tr{attributes}>{_row(cells, table.columns)}</tr>")
    if not rows and empty:
        rows.append(f'<tr><td colspan="{len(table.columns)}">{escape(empty)}</td></tr>')
    totals = "".join(f"<tr>{_row(_cells(row, table.columns), table.columns)}</tr>" for row in table.footer)
    footer = f"<tfoot>{totals}</tfoot>" if totals else ""
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return (
        f'<section><h2>{escape(table.title)}</h2>{note}<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody>{footer}</table></div></section>\n"
    )


def _numeric(column: Column) -> str:
    return class_if("n", bool(column.form))


def _cells(row: Sequence[Cell], columns: Sequence[Column]) -> list[str]:
    return [_cell(value, column) for value, column in zip(row, columns, strict=True)]


def _cell(value: Cell, column: Column) -> str:
    if value is None:
        return ""
    return escape(value) if isinstance(value, str) or not column.form else format(value, column.form)


def _row(cells: Iterable[str], columns: Sequence[Column]) -> str:
    return "".join(f"<td{_numeric(column)}>{cell}</td>" for cell, column in zip(cells, columns, strict=True))

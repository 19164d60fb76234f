"""Content of a report: numbers and tables, independent of how the page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdzoo.constants import RGB
from cdzoo.inference.sources import Array
from cdzoo.io.dates import ImageDate
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report.place import Place
from cdzoo.tasks import Task

Cell = str | int | float | None
Box = tuple[float, float, float, float]
"""Rectangle in pixels of the scene: left, top, width, height."""
TOP = 10
"""Number of areas on the first screen, with crops."""
_HECTARE = 10_000.0
_SQUARE_KILOMETER = 1_000_000.0


@dataclass(frozen=True)
class Column:
    """Column of a `Table`.

    Attributes:
        title: Heading.
        form: Format of its numbers, such as `",.0f"` or `".2%"`; empty for text.
    """

    title: str
    form: str = ""


@dataclass(frozen=True)
class Table:
    """Table of a report.

    Attributes:
        title: Heading.
        columns: Columns.
        rows: Cells of each row; None is an empty cell.
        footer: Cells of the rows below, such as totals.
        note: Text above the table.
        boxes: Rectangle of each row to which the map zooms; empty if rows do not zoom.
        colors: Color of each row; empty for none.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    footer: Sequence[Sequence[Cell]] = ()
    note: str = ""
    boxes: Sequence[Box] = ()
    colors: Sequence[RGB] = ()


@dataclass(frozen=True)
class ImageSummary:
    """Name of the file of an image, and its date if it is known."""

    name: str
    date: ImageDate | None


@dataclass(frozen=True)
class Outline:
    """Outline of a listed area.

    Attributes:
        number: Rank by area, from 1.
        polygon: Outline in pixels (shapely Polygon).
        box: Its bounds.
        label: Description of one line.
    """

    number: int
    polygon: Any
    box: Box
    label: str


@dataclass(frozen=True)
class Report:
    """Content of a report. Areas are in square meters, or in pixels for scenes without a coordinate reference system.

    Attributes:
        images: Both dates.
        place: Location of the scene.
        positive: What was searched for, see `Task.positive`.
        area: Area of it in the map.
        changed: Number of its pixels.
        valid: Number of pixels with data in both dates.
        threshold: Minimum probability.
        shares: Share of the pixels with data that reach other thresholds, by threshold.
        count: Number of areas (polygons).
        largest: Area of the largest one; 0 without any.
        outlines: Outlines of the listed areas, largest first.
        top: Table of the ten largest areas.
        areas: Table of the listed areas, with totals.
        classes: Table of the values of each map by name.
        legends: Names and colors of the values of each map by name, most frequent first.
        facts: What was done with which images and weights, by name.
        details: Tags of the map.
        warnings: Reasons for doubts.
        tables: Further tables.
        explanation: Further explanation of the map; empty for none.
    """

    images: tuple[ImageSummary, ImageSummary]
    place: Place
    positive: str
    area: float
    changed: int
    valid: int
    threshold: float
    shares: Mapping[float, float]
    count: int
    largest: float
    outlines: Sequence[Outline]
    top: Table
    areas: Table
    classes: Mapping[str, Table]
    legends: Mapping[str, Sequence[tuple[str, RGB]]]
    facts: Mapping[str, str]
    details: Mapping[str, str]
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    explanation: str = ""

    @property
    def share(self) -> float | None:
        """Share of the pixels with data that changed; None without data."""
        return self.changed / self.valid if self.valid else None

    @property
    def is_measured(self) -> bool:
        """Whether areas are in square meters."""
        return self.place.grid.crs is not None


@dataclass(frozen=True)
class Crop:
    """Both dates around a listed area, at full resolution if it is small enough.

    Attributes:
        outline: The area.
        box: Extent in pixels of the scene.
        before: First date (h, w, 3), uint8.
        after: Second date; of a series, the last one.
        between: Name and picture of the other dates of a series.
        names: Names of the first and the last date of a series; empty for a pair.
    """

    outline: Outline
    box: Box
    before: Array
    after: Array
    between: Sequence[tuple[str, Array]] = ()
    names: Sequence[str] = ()


@dataclass(frozen=True)
class SeriesContent:
    """What the report of a series has in addition to that of a pair, its first and its last image.

    Attributes:
        task: Task whose maps are those of the report.
        names: Name of each date.
        between: Dates between the first and the last one (RasterSource), on the grid of the map.
        facts: Further facts by name.
        explanation: Explanation of the map.
    """

    task: Task
    names: Sequence[str]
    between: Sequence[RasterSource]
    facts: Mapping[str, str]
    explanation: str


@dataclass(frozen=True)
class Pictures:
    """Pictures of a report.

    Attributes:
        before: First date (h, w, 3), uint8.
        after: Second date.
        maps: Maps (h, w) by name.
        factor: Side of the square of pixels of the scene that a pixel of a map covers.
        crops: The largest areas.
    """

    before: Array
    after: Array
    maps: Mapping[str, Array]
    factor: int
    crops: Sequence[Crop]


def area_text(area: float, is_measured: bool) -> str:
    """Return an area in a unit that suits its size: square meters, hectares or square kilometers; or pixels.

    >>> area_text(3_992.4, True), area_text(123_456, True), area_text(12_345_678, True), area_text(600, False)
    ('3,992 m²', '12.3 ha', '12.3 km²', '600 pixels')
    """
    if not is_measured:
        return f"{area:,.0f} pixel{'' if round(area) == 1 else 's'}"
    for unit, size in (("km²", _SQUARE_KILOMETER), ("ha", _HECTARE)):
        if area >= size:
            return f"{area / size:,.{max(0, 2 - len(str(int(area / size))) + 1)}f} {unit}"
    return f"{area:,.0f} m²" if area >= 10 or area == 0 else f"{area:.2g} m²"

"""Styles of QGIS for the outputs of a scene: classes in the names and colors of the task, with "no change" transparent.

QGIS applies a file `.qml` that has the stem of a raster or vector file when it opens that file, and a row of the table
`layer_styles` when it opens a layer of a GeoPackage. A file may hold the styles of a raster and of a vector layer of one stem.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from cdzoo._version import __version__
from cdzoo.constants import RGB
from cdzoo.errors import printable
from cdzoo.scenes.outputs import LAYER, Outputs, style_file
from cdzoo.tasks import MapSpec, Task
from cdzoo.tasks.palette import CHANGE

_HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_VERSION = "3.22.0"  # of QGIS, whose elements are used; later versions convert them
_OPACITY = 0.6  # of changed pixels, so that the image below stays visible
_RAMP: tuple[tuple[float, RGB, int], ...] = (
    (0.0, (255, 245, 170), 0),
    (0.25, (255, 215, 110), 90),
    (0.5, (255, 160, 70), 180),
    (0.75, (240, 85, 50), 225),
    (1.0, (185, 10, 45), 255),
)
"""Color and alpha of probabilities."""
_TABLE = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
    f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
    owner TEXT(30), ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)"""


def style_files(outputs: Outputs, task: Task) -> dict[Path, str]:
    """Return the content of each style file of the outputs of a scene that is written, see `Outputs.styles`."""
    rasters = dict(zip((outputs.mask, *outputs.further.values()), map(map_style, task.maps.values()), strict=True))
    if outputs.probability is not None:
        rasters[outputs.probability] = probability_style(task)
    parts: dict[Path, list[Element]] = {file: [] for file in outputs.styles}
    for path, pipe in rasters.items():
        if (file := style_file(path)) in parts:
            parts[file].append(pipe)
    polygons = outputs.styled.get("polygons")
    if polygons is not None and (file := style_file(polygons)) in parts:
        parts[file] += polygon_style(task)
    return {file: style_text(found) for file, found in parts.items()}


def map_style(legend: MapSpec) -> Element:
    """Return the style of a map: each value with its name and color; 0 is transparent, and nodata is not shown."""
    pipe, renderer = _raster("paletted", _OPACITY)
    palette = SubElement(renderer, "colorPalette")
    for value, (name, color) in enumerate(zip(legend.class_names, legend.colors, strict=True)):
        alpha = "255" if value else "0"
        SubElement(palette, "paletteEntry", value=str(value), color=_hex(color), alpha=alpha, label=printable(name))
    return pipe


def probability_style(task: Task) -> Element:
    """Return the style of a probability map, in probabilities from 0 (transparent) to 1.

    It shows the first band: the probability of change, or for tasks whose first class is "no change" that of no change, in the
    opposite order.
    """
    first = np.eye(max(1, len(task.probability_names)), 1, dtype=np.float32)[..., None]  # (channels, 1, 1)
    is_change = not task.probability_names or task.change_probability(first).item() > 0.5
    pipe, renderer = _raster("singlebandpseudocolor", 1.0)
    renderer.attrib |= {"classificationMin": "0", "classificationMax": "1"}
    shader = SubElement(SubElement(renderer, "rastershader"), "colorrampshader", colorRampType="INTERPOLATED", clip="0")
    shader.attrib |= {"classificationMode": "1", "minimumValue": "0", "maximumValue": "1", "labelPrecision": "2"}
    colors = _RAMP if is_change else [(1 - value, color, alpha) for value, color, alpha in reversed(_RAMP)]
    for value, color, alpha in colors:
        SubElement(shader, "item", value=f"{value:g}", label=f"{value:g}", color=_hex(color), alpha=str(alpha))
    return pipe


def polygon_style(task: Task) -> list[Element]:
    """Return the style of changed areas: outlines with a translucent fill, in the colors of their classes."""
    (names, colors), *_ = task.maps.values()
    kind = Element("layerGeometryType")
    kind.text = "2"  # polygons
    renderer = Element("renderer-v2", type="categorizedSymbol" if task.has_legend else "singleSymbol", symbollevels="0")
    renderer.attrib |= {"enableorderby": "0", "forceraster": "0"}
    if task.has_legend:
        renderer.attrib["attr"] = "class"
        categories = SubElement(renderer, "categories")
        for index, name in enumerate(names[1:]):
            name = printable(name)
            SubElement(categories, "category", value=name, symbol=str(index), label=name, render="true", type="string")
    symbols = SubElement(renderer, "symbols")
    for index, color in enumerate(colors[1:] if task.has_legend else (CHANGE,)):
        symbol = SubElement(symbols, "symbol", type="fill", name=str(index), alpha="1", clip_to_extent="1", force_rhr="0")
        layer = SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        levels = ",".join(str(level) for level in color)
        look = {"style": "solid", "color": f"{levels},30", "outline_color": f"{levels},255", "outline_style": "solid"}
        for name, value in {**look, "outline_width": "0.5", "outline_width_unit": "MM", "joinstyle": "miter"}.items():
            SubElement(layer, "prop", k=name, v=value)
    return [kind, renderer]


def style_text(parts: Sequence[Element]) -> str:
    """Return the content of a style file."""
    root = Element("qgis", version=_VERSION, styleCategories="Symbology", creator=f"cdzoo {__version__}")
    root.extend(parts)
    indent(root)
    return f"{_HEAD}{tostring(root, encoding='unicode')}\n"


def store_style(geopackage: Path, text: str) -> None:
    """Store a style in a GeoPackage as the default one of the layer of changed areas."""
    with closing(sqlite3.connect(geopackage)) as database, database:
        (column,) = database.execute("SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (LAYER,)).fetchone()
        database.execute(_TABLE)
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, "
            "styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '')",
            (LAYER, column, "cdzoo", text, f"cdzoo {__version__}"),
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', '')"
        )


def _raster(kind: str, opacity: float) -> tuple[Element, Element]:
    """Return the pipe of a raster, and its renderer of the first band."""
    pipe = Element("pipe")
    renderer = SubElement(pipe, "rasterrenderer", type=kind, band="1", opacity=f"{opacity:g}", alphaBand="-1", nodataColor="")
    SubElement(renderer, "rasterTransparency")
    origin = SubElement(renderer, "minMaxOrigin")
    SubElement(origin, "limits").text = "None"  # the values above, not those of the file
    return pipe, renderer


def _hex(color: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)

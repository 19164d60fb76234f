"""Report of a scene: an HTML page with both dates, the maps, the distribution of probability, classes, and the largest changes.

The page is a single file with embedded images and no external links. Its policy allows its own style and script only.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import printable
from cdzoo.scenes.geotiff import block_class, read_change_probability
from cdzoo.scenes.polygons import ChangedAreas, Outlines, class_columns
from cdzoo.scenes.raster import RasterSource
from cdzoo.tasks import Task
from cdzoo.tiling import Window
from cdzoo.visualize import data_uri, overlay, to_rgb

_SIDE = 1400  # longest side of the embedded images, in pixels
_MAX_AREAS = 25
_MAX_CLASSES = 40  # of a map
_BINS = 20
_MAX_PIXELS = 1 << 22  # number of pixels read at once
_PAGE = Path(__file__).with_name("report.html")


def write_report(
    target: Path,
    dates: tuple[RasterSource, RasterSource],
    maps: Mapping[str, Any],
    probabilities: Any,
    task: Task,
    outlines: Outlines,
    areas: ChangedAreas,
) -> None:
    """Write the report of a scene predicted by `predict_scene`.

    Args:
        target: HTML file.
        dates: Both dates, on one grid.
        maps: Open map of each name, the main one first.
        probabilities: Their open probability map.
        task: Task of the model.
        outlines: Outlines of the changed areas, as traced.
        areas: Changed areas, largest first.
    """
    main, *_ = maps
    masks = maps[main]
    shown = {name: _reduced(file) for name, file in maps.items()}
    height, width = shown[main].shape
    counts, histogram = _count(maps, probabilities, task)
    pixels = int(counts[main][:IGNORE_INDEX].sum())
    changed = pixels - int(counts[main][0])
    unchanged = task.maps[main].class_names[0]
    tags = masks.tags()
    facts = {
        "model": tags.get("model", ""),
        "weights": f"{tags.get('weights', '')} sha256 {tags.get('weights_sha256', '')[:16]}".strip(),
        "threshold": tags.get("threshold", ""),
        "size": f"{masks.width} x {masks.height} pixels",
        "coordinates": str(masks.crs) if masks.crs else "none",
        "other classes" if task.has_legend else "changed": (
            f"{changed:,} of {pixels:,} pixels ({changed / pixels:.2%})" if pixels else "no data"
        ),
    }
    x1, x2 = (_overview(source, (height, width)) for source in dates)
    columns = class_columns(task)
    rows = [_row(areas, index, masks.crs, columns) for index in range(min(len(areas), _MAX_AREAS))]
    pictures = {name: overlay(x2, values, colors=task.maps[name].colors) for name, values in shown.items()}
    page = _PAGE.read_text(encoding="utf-8").replace("$ratio", f"{width} / {height}")
    text = Template(page).substitute(
        style_hash=_policy_hash("style", page),
        script_hash=_policy_hash("script", page),
        before_name=_escape(Path(dates[0].path).name),
        after_name=_escape(Path(dates[1].path).name),
        before=data_uri(Image.fromarray(x1)),
        after=data_uri(Image.fromarray(x2)),
        choices="".join(
            f"<option value='{data_uri(Image.fromarray(picture))}'>{_title(name)}</option>" for name, picture in pictures.items()
        ),
        facts="".join(f"<dt>{_escape(name)}</dt><dd>{_escape(value)}</dd>" for name, value in facts.items()),
        event=_escape(f"other classes than {unchanged}" if task.has_legend else "change"),
        bars=_bars(histogram),
        classes="".join(_classes(task, name, counts[name], outlines) for name in maps) if task.has_legend else "",
        titles="".join(f"<th>{_title(title)}</th>" for title, *_ in columns),
        unit="square meters" if masks.crs else "pixels",
        rows="".join(rows) or f"<tr><td colspan='{4 + len(columns)}'>no change was found</td></tr>",
    )
    target.write_text(text, encoding="utf-8")


def _title(name: str) -> str:
    return _escape(name.replace("_", " "))


def _escape(text: str) -> str:
    return html.escape(printable(text))


def _policy_hash(tag: str, page: str) -> str:
    """Return the hash of the style or script of a page, as its Content-Security-Policy has it."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()


def _reduced(file: Any) -> npt.NDArray[np.uint8]:
    """Return a map with at most `_SIDE` pixels per side, where a pixel has the most frequent change of those that it covers."""
    factor = max(1, -(-max(file.shape) // _SIDE))
    step = factor * max(1, _MAX_PIXELS // (factor * file.width))
    windows = (Window(row, 0, min(step, file.height - row), file.width) for row in range(0, file.height, step))
    return np.concatenate([block_class(file.read(1, window=window.slices), factor) for window in windows])


def _classes(task: Task, name: str, counts: npt.NDArray[np.int64], outlines: Outlines) -> str:
    """Return a table of the values of a map that occur, with their colors, pixels and areas, largest first."""
    legend, areas = task.maps[name], outlines.class_areas(name)
    pixels = counts[: len(legend.class_names)]
    order = [value for value in np.argsort(-pixels, kind="stable") if pixels[value]]
    rows = []
    for value in order[:_MAX_CLASSES]:
        color = "#{:02x}{:02x}{:02x}".format(*legend.colors[value])
        box = f"<svg class='box' viewBox='0 0 1 1'><rect width='1' height='1' fill='{color}'/></svg>"
        area = f"{areas[value]:,.0f}" if value else ""
        cells = (f"{pixels[value]:,}", f"{pixels[value] / pixels.sum():.2%}", area)
        text = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f"<tr><td class='name'>{box}{_escape(legend.class_names[value])}</td>{text}</tr>")
    left = order[_MAX_CLASSES:]
    if left:
        rows.append(f"<tr><td class='name'>{len(left)} others</td><td>{pixels[left].sum():,}</td><td></td><td></td></tr>")
    unit = "square meters" if outlines.grid.crs else "pixels"
    head = f"<tr><th class='name'>{_title(name)}</th><th>pixels</th><th>share</th><th>area ({unit})</th></tr>"
    return f"<h2>Classes: {_title(name)}</h2>\n<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>\n"


def _row(areas: ChangedAreas, index: int, crs: Any, columns: list[tuple[str, str, Any]]) -> str:
    inside = areas.geometry[index].representative_point()
    digits = 6 if crs and crs.is_geographic else 1  # about a decimeter
    size, mean = f"{areas.area[index]:,.0f}", f"{areas.mean_probability[index]:.2f}"
    classes = [_escape(names[areas.values[name][index]]) for _, name, names in columns]
    cells = (index + 1, *classes, size, mean, f"{inside.x:.{digits}f}, {inside.y:.{digits}f}")
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _overview(source: RasterSource, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return a date on the grid of the map at a lower resolution (h, w, 3)."""
    pixels = source.overview(shape)
    if pixels.dtype != np.uint8:
        pixels = (pixels * 255).round().astype(np.uint8)
    return to_rgb(pixels)


def _count(
    maps: Mapping[str, Any], probabilities: Any, task: Task
) -> tuple[dict[str, npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
    """Return the number of pixels of each value (256,) of each map, and the number per interval of probability."""
    counts, histogram = {name: np.zeros(256, np.int64) for name in maps}, np.zeros(_BINS, np.int64)
    main, *_ = maps.values()
    for _, window in main.block_windows(1):
        for name, file in maps.items():
            counts[name] += np.bincount(file.read(1, window=window).ravel(), minlength=256)
        values = read_change_probability(probabilities, task, window)
        histogram += np.histogram(values[np.isfinite(values)], bins=_BINS, range=(0, 1))[0]
    return counts, histogram


def _bars(counts: npt.NDArray[np.int64]) -> str:
    """Return a histogram as SVG bars with logarithmic heights, since most pixels of a scene are unchanged."""
    heights = np.log10(counts + 1)
    top = max(1.0, float(heights.max()))
    width = 100 / len(counts)
    return "".join(
        f"<rect x='{index * width + 0.4:.2f}' y='{50 - 48 * height / top:.2f}' width='{width - 0.8:.2f}' "
        f"height='{48 * height / top:.2f}'><title>{index / len(counts):.2f} to {(index + 1) / len(counts):.2f}: {count:,} pixels"
        "</title></rect>"
        for index, (height, count) in enumerate(zip(heights, counts, strict=True))
    )

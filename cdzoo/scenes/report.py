"""Report of a scene: an HTML page with both dates, the change map, the distribution of its probability, and the largest changes.

The page is a single file with embedded images and no external links. Its policy allows its own style and script only.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cdzoo.errors import printable
from cdzoo.scenes.geotiff import block_maximum, decode_probability, has_data, is_changed
from cdzoo.scenes.polygons import ChangedAreas
from cdzoo.scenes.raster import RasterSource
from cdzoo.tiling import Window
from cdzoo.visualize import data_uri, overlay, to_rgb

_SIDE = 1400  # longest side of the embedded images, in pixels
_MAX_AREAS = 25
_BINS = 20
_MAX_PIXELS = 1 << 22  # number of pixels read at once
_PAGE = Path(__file__).with_name("report.html")


def write_report(
    target: Path, before: RasterSource, after: RasterSource, masks: Any, probabilities: Any, areas: ChangedAreas
) -> None:
    """Write the report of a scene predicted by `predict_scene`.

    Args:
        target: HTML file.
        before: First date.
        after: Second date, on the same grid.
        masks: Open change map.
        probabilities: Its open probability map.
        areas: Changed areas, largest first.
    """
    shown = _reduced(masks)
    height, width = shown.shape
    pixels, changed, histogram = _count(masks, probabilities)
    tags = masks.tags()
    facts = {
        "model": tags.get("model", ""),
        "weights": f"{tags.get('weights', '')} sha256 {tags.get('weights_sha256', '')[:16]}".strip(),
        "threshold": tags.get("threshold", ""),
        "size": f"{masks.width} x {masks.height} pixels",
        "coordinates": str(masks.crs) if masks.crs else "none",
        "changed": f"{changed:,} of {pixels:,} pixels ({changed / pixels:.2%})" if pixels else "no data",
    }
    x1, x2 = (_overview(source, (height, width)) for source in (before, after))
    rows = [_row(areas, index, masks.crs) for index in range(min(len(areas), _MAX_AREAS))]
    page = _PAGE.read_text(encoding="utf-8").replace("$ratio", f"{width} / {height}")
    text = Template(page).substitute(
        style_hash=_policy_hash("style", page),
        script_hash=_policy_hash("script", page),
        before_name=_escape(Path(before.path).name),
        after_name=_escape(Path(after.path).name),
        before=data_uri(Image.fromarray(x1)),
        after=data_uri(Image.fromarray(x2)),
        overlay=data_uri(Image.fromarray(overlay(x2, is_changed(shown).astype(np.uint8)))),
        facts="".join(f"<dt>{name}</dt><dd>{_escape(value)}</dd>" for name, value in facts.items()),
        bars=_bars(histogram),
        unit="square meters" if masks.crs else "pixels",
        rows="".join(rows) or "<tr><td colspan='4'>no change was found</td></tr>",
    )
    target.write_text(text, encoding="utf-8")


def _escape(text: str) -> str:
    return html.escape(printable(text))


def _policy_hash(tag: str, page: str) -> str:
    """Return the hash of the style or script of a page, as its Content-Security-Policy has it."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()


def _reduced(masks: Any) -> npt.NDArray[np.uint8]:
    """Return a change map with at most `_SIDE` pixels per side, where a pixel has the maximum of those that it covers."""
    factor = max(1, -(-max(masks.shape) // _SIDE))
    step = factor * max(1, _MAX_PIXELS // (factor * masks.width))
    windows = (Window(row, 0, min(step, masks.height - row), masks.width) for row in range(0, masks.height, step))
    return np.concatenate([block_maximum(masks.read(1, window=window.slices), factor) for window in windows])


def _row(areas: ChangedAreas, index: int, crs: Any) -> str:
    inside = areas.geometry[index].representative_point()
    digits = 6 if crs and crs.is_geographic else 1  # about a decimeter
    size, mean = f"{areas.area[index]:,.0f}", f"{areas.mean_probability[index]:.2f}"
    cells = (index + 1, size, mean, f"{inside.x:.{digits}f}, {inside.y:.{digits}f}")
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _overview(source: RasterSource, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return a date on the grid of the map at a lower resolution (h, w, 3)."""
    pixels = source.overview(shape)
    if pixels.dtype != np.uint8:
        pixels = (pixels * 255).round().astype(np.uint8)
    return to_rgb(pixels)


def _count(masks: Any, probabilities: Any) -> tuple[int, int, npt.NDArray[np.int64]]:
    """Return the number of pixels with data, of changed pixels, and of pixels per interval of probability."""
    pixels, changed, histogram = 0, 0, np.zeros(_BINS, np.int64)
    for _, window in masks.block_windows(1):
        classes, values = masks.read(1, window=window), decode_probability(probabilities.read(1, window=window))
        pixels += int(has_data(classes).sum())
        changed += int(is_changed(classes).sum())
        histogram += np.histogram(values[np.isfinite(values)], bins=_BINS, range=(0, 1))[0]
    return pixels, changed, histogram


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

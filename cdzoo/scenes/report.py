"""One page about a scene: both dates under a slider, the map over them, how sure the model is, and the largest changes.

The page is a single file without links: pictures are in it, and it opens from a disk or a mail.
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cdzoo.errors import InputError
from cdzoo.io.files import write_text
from cdzoo.scenes.polygons import PolygonCfg, traced_areas
from cdzoo.scenes.raster import RasterSource
from cdzoo.visualize import overlay, to_rgb

_SIDE = 1400  # longest side of the pictures in the page
_LISTED = 25
_BINS = 20
_PAGE = Path(__file__).with_name("report.html")


def check_report(path: str | Path) -> Path:
    """Return the path of a page that can be written.

    Raises:
        InputError: It is not called .html, or its folder is missing.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target}: a report is a page: name it .html")
    if not target.resolve().parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; make it first")
    return target


def write_report(
    path: str | Path,
    before: str | Path,
    after: str | Path,
    mask: str | Path,
    probability: str | Path,
    cfg: Any,
    polygon_cfg: PolygonCfg | None = None,
) -> None:
    """Write the page of a scene that `predict_scene` has mapped.

    Args:
        path: `.html` file.
        before: First date.
        after: Second date.
        mask: Map of change.
        probability: Map of its probability.
        cfg: `SceneCfg` of the prediction, for its scaling and threshold.
        polygon_cfg: How the listed areas are cleaned.

    Raises:
        InputError: The page cannot be written there.
    """
    import rasterio

    target = check_report(path)
    with rasterio.open(mask) as masks, rasterio.open(probability) as probabilities:
        factor = max(1.0, max(masks.shape) / _SIDE)
        shape = (max(1, round(masks.height / factor)), max(1, round(masks.width / factor)))
        shown = masks.read(1, out_shape=shape)
        histogram = _histogram(probabilities)
        tags, crs = masks.tags(), masks.crs
        areas, unit = traced_areas(masks, probabilities, polygon_cfg or PolygonCfg(), _LISTED)
        pixels, changed = _counts(masks)
    dates = [_picture(file, _grid(mask), shape, cfg) for file in (before, after)]
    facts = {
        "model": tags.get("model", ""),
        "weights": tags.get("weights_sha256", "")[:16],
        "threshold": tags.get("threshold", ""),
        "size": f"{shape[1] * factor:.0f} x {shape[0] * factor:.0f} pixels",
        "coordinates": str(crs) if crs else "none",
        "changed": f"{changed:,} of {pixels:,} pixels ({changed / pixels:.2%})" if pixels else "no data",
    }
    text = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        before_name=html.escape(Path(before).name),
        after_name=html.escape(Path(after).name),
        before=_embedded(dates[0]),
        after=_embedded(dates[1]),
        overlay=_embedded(overlay(dates[1], (shown == 1).astype(np.uint8))),
        ratio=f"{shape[1]} / {shape[0]}",
        facts="".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in facts.items()),
        bars=_bars(histogram),
        unit=unit,
        rows="".join(
            f"<tr><td>{number}</td><td>{row['area']:,.0f}</td><td>{row['mean_probability']:.2f}</td>"
            f"<td>{_place(row['center'], crs)}</td></tr>"
            for number, row in enumerate(areas, 1)
        )
        or "<tr><td colspan='4'>no change was found</td></tr>",
    )
    write_text(target, text)


def _place(point: tuple[float, float], crs: Any) -> str:
    """Return coordinates to a decimetre, or its like in degrees."""
    return f"{point[0]:.6f}, {point[1]:.6f}" if crs and crs.is_geographic else f"{point[0]:.1f}, {point[1]:.1f}"


def _grid(mask: str | Path) -> Any:
    import rasterio

    from cdzoo.scenes.raster import Grid

    with rasterio.open(mask) as file:
        return Grid(file.crs, file.transform, file.height, file.width)


def _picture(path: str | Path, grid: Any, shape: tuple[int, int], cfg: Any) -> npt.NDArray[np.uint8]:
    """Return an overview (h, w, 3) of a date on the grid of the map."""
    with RasterSource(path, None, grid, cfg.value_range, cfg.percentiles) as source:
        pixels = source.overview(shape)
    if pixels.dtype != np.uint8:
        pixels = (pixels * 255).round().astype(np.uint8)
    return to_rgb(pixels)


def _counts(masks: Any) -> tuple[int, int]:
    pixels = changed = 0
    for _, window in masks.block_windows(1):
        values = masks.read(1, window=window)
        pixels += int((values != 255).sum())
        changed += int((values == 1).sum())
    return pixels, changed


def _histogram(probabilities: Any) -> npt.NDArray[np.int64]:
    """Count pixels by probability, block by block."""
    total = np.zeros(_BINS, np.int64)
    eight_bit = probabilities.dtypes[0] == "uint8"
    for _, window in probabilities.block_windows(1):
        values = probabilities.read(1, window=window)
        known = values[values != 255] / 200 if eight_bit else values[np.isfinite(values)]
        total += np.histogram(known, bins=_BINS, range=(0, 1))[0]
    return total


def _bars(counts: npt.NDArray[np.int64]) -> str:
    """Return the histogram as bars of an SVG; their height goes with the logarithm, as most of a scene is unchanged."""
    heights = np.log10(counts + 1)
    top = max(1.0, float(heights.max()))
    width = 100 / len(counts)
    return "".join(
        f"<rect x='{index * width + 0.4:.2f}' y='{50 - 48 * height / top:.2f}' width='{width - 0.8:.2f}' "
        f"height='{48 * height / top:.2f}'><title>{index / len(counts):.2f} to {(index + 1) / len(counts):.2f}: {count:,} pixels"
        "</title></rect>"
        for index, (height, count) in enumerate(zip(heights, counts, strict=True))
    )


def _embedded(pixels: npt.NDArray[np.uint8]) -> str:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()

"""What the page shows of a detection: pictures and text."""

from __future__ import annotations

import html
from pathlib import Path

from cdzoo.app.detection import Detection, facts
from cdzoo.app.inputs import PERCENTILES
from cdzoo.errors import mask_urls, printable
from cdzoo.inference.weights import WeightsSummary
from cdzoo.io.images import UInt8
from cdzoo.scenes.threshold import MapOverview
from cdzoo.visualize import class_picture, occurring_classes, overlay

VIEWS = {"Change over after": "overlay", "After": "after", "Change map": "map"}
"""What the right side of the slider shows, by its title; the left side shows the first date."""


def pictures(detection: Detection, found: MapOverview, view: str, name: str) -> tuple[UInt8, UInt8]:
    """Return the pictures (h, w, 3) on the left and on the right of the slider.

    Args:
        detection: Detection.
        found: Its maps at the threshold.
        view: A value of `VIEWS`.
        name: Name of the map.
    """
    before, after = detection.pictures
    colors = detection.model.task.maps[name].colors
    if view == "overlay":
        return before, overlay(after, found.maps[name], colors=colors)
    return before, after if view == "after" else class_picture(found.maps[name], colors)


def summary(detection: Detection, found: MapOverview, threshold: float) -> str:
    """Return share and area of the change, the classes with their colors, and the weights, as HTML."""
    known, task = facts(detection, found, threshold), detection.model.task
    unchanged = next(iter(task.maps.values())).class_names[0]
    what = f"not {unchanged}" if task.has_legend else "changed"
    figures = [(f"{known['share']:.2%}", what)]
    if known["area_m2"] is not None:
        figures.append((area_text(known["area_m2"]), "on the ground"))
    figures.append((f"{known['changed_pixels']:,}", f"of {known['pixels']:,} pixels"))
    cells = "".join(f"<div><b>{_text(value)}</b><span>{_text(title)}</span></div>" for value, title in figures)
    notes = [f"Threshold {threshold:g}; weights {detection.weights.name or 'not loaded from a file'}."]
    if known["area_m2"] is None:
        notes.append("The images have no coordinates, so areas on the ground are unknown.")
    if detection.cfg.percentiles is not None:
        low, high = PERCENTILES
        notes.append(
            f"Values were stretched from percentile {low:g} to {high:g} of each band; the options take a range of values instead."
        )
    legends = "".join(_legend(detection, found, name) for name in task.maps) if task.has_legend else ""
    return f"<div class='cdzoo-figures'>{cells}</div>{legends}<p class='cdzoo-notes'>{_text(' '.join(notes))}</p>"


def weights_card(known: WeightsSummary) -> str:
    """Return the training data and scores of weights as HTML, with a warning if maps made with them are not reliable."""
    rows = []
    if known.data:
        rows.append(("trained on", known.data))
    if known.scores:
        shown = ", ".join(f"{name} {value:.1%}" for name, value in known.scores.items())
        rows.append(("measured", f"{shown} ({known.measured})"))
    if known.zero_shot and not known.warning:  # which states it
        rows.append(("on real images", known.zero_shot))
    cells = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in rows)
    warning = f"<p class='cdzoo-warning' role='note'>{_text(known.warning)}</p>" if known.warning else ""
    return f"{warning}<dl class='cdzoo-card'>{cells}</dl>"


def area_text(square_meters: float) -> str:
    """Return an area in the unit in which it is read best.

    >>> area_text(1234.5), area_text(56_789), area_text(12_345_678)
    ('1,234 m²', '5.68 ha', '12.3 km²')
    """
    if square_meters < 10_000:
        return f"{square_meters:,.0f} m²"
    value, unit = (square_meters / 1e4, "ha") if square_meters < 1e6 else (square_meters / 1e6, "km²")
    return f"{value:,.2f} {unit}" if value < 10 else f"{value:,.1f} {unit}"


def message(error: Exception, *files: str | Path | None) -> str:
    """Return the message of an error for the page: uploaded files without the folders in which the server keeps them."""
    text = printable(mask_urls(error))
    for file in files:
        text = text.replace(str(file), Path(file).name) if file is not None else text
    return html.escape(text, quote=False)


def _legend(detection: Detection, found: MapOverview, name: str) -> str:
    """Return the values of a map that occur, with their colors and shares."""
    legend, counts = detection.model.task.maps[name], found.counts[name]
    total = max(1, found.pixels)
    shares = dict(zip(legend.class_names, counts / total, strict=False))
    items = []
    for title, color in occurring_classes([found.maps[name]], (legend.class_names, legend.colors)):
        share = f" {shares[title]:.2%}" if title in shares else ""
        box = "<i style='background:rgb({},{},{})'></i>".format(*color)
        items.append(f"<li>{box}{_text(title)}<span>{share}</span></li>")
    return f"<p class='cdzoo-title'>{_text(name.replace('_', ' '))}</p><ul class='cdzoo-legend'>{''.join(items)}</ul>"


def _text(text: object) -> str:
    return html.escape(printable(text))

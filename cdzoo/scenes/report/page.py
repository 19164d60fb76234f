"""HTML page of a report.

The page is a single file with embedded pictures and no external links. Its policy allows its own style and script only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from PIL import Image

from cdzoo.constants import RGB
from cdzoo.inference.sources import Array
from cdzoo.scenes.report.content import TOP, Crop, ImageSummary, Pictures, Report, area_text
from cdzoo.scenes.report.elements import (
    box_text,
    class_if,
    crop_title,
    definition_list,
    escape,
    html_table,
    legend_list,
    outline_number,
    outline_path,
    printed_number,
    title_of,
)
from cdzoo.scenes.report.place import scale_bar
from cdzoo.visualize import data_uri, overlay_uri

_FOLDER = Path(__file__).parent
_QUALITY = 80  # of JPEG
_BARS = 18  # height of the highest bar, in percent of the width of all
_NORTH = (
    '<svg class="north" viewBox="0 0 16 22" role="img" aria-label="north is up">'
    '<path d="M8,1 L13,15 L8,12 L3,15 Z" fill="#1d2733"/><text x="8" y="21" font-size="7">N</text></svg>'
)
_OUTLINES = '<g class="outlines"><use href="#paths" class="halo"/><use href="#paths" class="line"/></g>'


def render(report: Report, pictures: Pictures, colors: Mapping[str, Sequence[RGB]]) -> str:
    """Return the page of a report.

    Args:
        report: Content.
        pictures: Pictures.
        colors: Color of each value of each map by name.
    """
    grid, place = report.place.grid, report.place
    style, script, page = ((_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js", "html"))
    before, after = (_dated(image) for image in report.images)
    rows, columns = next(iter(pictures.maps.values())).shape
    extent = f'x="0" y="0" width="{columns * pictures.factor}" height="{rows * pictures.factor}" preserveAspectRatio="none"'
    numbers = [crop.outline.number for crop in pictures.crops]
    maps = enumerate(pictures.maps.items())
    overlays = (
        f'<image id="map-{index}" data-map="{index}"{class_if("shown", index == 0)} '
        f'href="{overlay_uri(values, colors[name])}" {extent}/>'
        for index, (name, values) in maps
    )
    tables = [*map(html_table, report.classes.values()), html_table(report.areas, report.outlines, "no change was found")]
    return Template(page).substitute(
        style=style,
        style_hash=_policy_hash(style),
        script=script,
        script_hash=_policy_hash(script),
        title=f"Change from {before} to {after}",
        warnings="".join(f'<p class="warning"><b>Warning:</b> {escape(text)}</p>' for text in report.warnings),
        numbers=_key_numbers(report),
        width=grid.width,
        height=grid.height,
        middle=grid.width / 2,
        meters=f"{place.meters:.9g}" if place.meters else "",
        factor=pictures.factor,
        extent=extent,
        before=data_uri(Image.fromarray(pictures.before), _QUALITY),
        after=data_uri(Image.fromarray(pictures.after), _QUALITY),
        sharp_before="".join(f'<use href="#before-{number}"/>' for number in numbers),
        sharp_after="".join(f'<use href="#after-{number}"/>' for number in numbers),
        overlays="".join(overlays),
        paths="".join(
            f'<path id="o{one.number}" vector-effect="non-scaling-stroke" d="{outline_path(one.polygon)}"/>'
            for one in report.outlines
        ),
        labels="".join(outline_number(one, grid.height) for one in report.outlines),
        choices="".join(f'<option value="{index}">{title_of(name)}</option>' for index, name in enumerate(pictures.maps)),
        legend="".join(legend_list(index, entries) for index, entries in enumerate(report.legends.values())),
        north=_NORTH if place.is_north_up else "",
        top=html_table(report.top, report.outlines, "no change was found"),
        facts=definition_list(report.facts),
        print=_paper(report, before, after),
        crops=_crops(pictures.crops, report.top.title),
        further="".join(map(html_table, report.tables)),
        thresholds=_thresholds(report),
        tables="".join(tables),
        explanation=escape(_explanation(report)),
        details=definition_list(report.details),
    )


def _policy_hash(text: str) -> str:
    """Return the hash of a style or script, as a Content-Security-Policy has it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _dated(image: ImageSummary) -> str:
    return escape(f"{image.name} ({image.date.text})" if image.date and image.date.text not in image.name else image.name)


def _key_numbers(report: Report) -> str:
    is_building, size = report.positive == "building", report.place.grid.width * report.place.grid.height
    area = area_text(report.area, report.is_measured) if report.valid else "no data"
    numbers = {
        "Area of buildings" if is_building else "Area changed": (
            area,
            f"{report.area:,.0f} m²" if area.endswith((" ha", " km²")) else "",
        ),
        "Share of the area with data": (
            "no data" if report.share is None else f"{report.share:.2%}",
            f"{report.changed:,} of {report.valid:,} pixels",
        ),
        "Building areas" if is_building else "Changes": (
            f"{report.count:,}",
            f"the largest {area_text(report.largest, report.is_measured)}" if report.count else "",
        ),
        "Scene with data": (f"{report.valid / size:.1%}", f"{report.valid:,} of {size:,} pixels"),
    }
    return "".join(
        f'<div><dt>{title}</dt><dd class="value">{value}</dd><dd class="more">{more}</dd></div>'
        for title, (value, more) in numbers.items()
    )


def _crops(crops: Sequence[Crop], title: str) -> str:
    """Return the dates around the largest areas."""
    figures = []
    for crop in crops:
        one, (first, last) = crop.outline, crop.names or ("before", "after")
        shown = [
            _crop(crop, crop.before, first, f"before-{one.number}"),
            *(_crop(crop, picture, name) for name, picture in crop.between),
            _crop(crop, crop.after, last, f"after-{one.number}"),
        ]
        button = f'<button type="button" data-outline="o{one.number}" title="show on the map">{one.number}</button>'
        pictures = f"<div{class_if('strip', bool(crop.names))}>{''.join(shown)}</div>"
        figures.append(f"<figure>{pictures}<figcaption>{button} {escape(one.label)}</figcaption></figure>")
    dates = "at each date" if crops and crops[0].names else "before and after"
    heading = f"<h2>{escape(title)}, {dates}</h2>"
    return f'<section>{heading}<div class="crops">{"".join(figures)}</div></section>' if figures else ""


def _crop(crop: Crop, picture: Array, name: str, identifier: str = "") -> str:
    """Return one date around an area, with its name if there are more than two."""
    (x, y, wide, tall), use = crop.box, f'href="#o{crop.outline.number}"'
    named = f' id="{identifier}"' if identifier else ""
    return (
        f'<svg viewBox="{box_text(crop.box)}" role="img" aria-label="{escape(name)}, number {crop.outline.number}">'
        f'<image{named} href="{data_uri(Image.fromarray(picture), _QUALITY)}" '
        f'x="{x}" y="{y}" width="{wide}" height="{tall}" preserveAspectRatio="none"/>'
        f'<g class="outlines"><use {use} class="halo"/><use {use} class="line"/></g>'
        f"{crop_title(name, crop.box) if crop.names else ''}</svg>"
    )


def _thresholds(report: Report) -> str:
    """Return the share of the area at other thresholds as bars."""
    if not report.valid:
        return ""
    top, step, bars = max(*report.shares.values(), 1e-9), 100 / len(report.shares), []
    for index, (threshold, share) in enumerate(report.shares.items()):
        height, left = _BARS * share / top, index * step
        size, used = f'x="{left + step / 2:.2f}" font-size="2.2"', class_if("used", threshold == report.threshold)
        bars.append(
            f'<rect x="{left + 0.8:.2f}" y="{_BARS + 4 - height:.2f}" width="{step - 1.6:.2f}" height="{height:.2f}"{used}/>'
            f'<text {size} y="{_BARS + 3 - height:.2f}">{share:.2%}</text><text {size} y="{_BARS + 7}"{used}>{threshold:g}</text>'
        )
    what = "buildings" if report.positive == "building" else "change"
    text = (
        f"Share of {what} in the area with data by threshold, the minimum probability. The map has the dark bar, "
        f"{report.threshold:g}. If the bars beside it are about as high, the result hardly depends on the threshold."
    )
    return (
        f"<section><h2>Would another threshold change the result?</h2><p>{text}</p>"
        f'<svg class="bars" viewBox="0 0 100 {_BARS + 8}" role="img" aria-label="share by threshold">{"".join(bars)}</svg>'
        "</section>"
    )


def _paper(report: Report, before: str, after: str) -> str:
    """Return both dates side by side for paper, the second one with the map."""
    grid = report.place.grid
    length, label = scale_bar(grid.width / 3, report.place.meters)
    numbers = "".join(printed_number(one, grid.height, grid.width / 30) for one in report.outlines[:TOP])
    views = {
        f"before: {before}": '<use href="#before"/>',
        f"after: {after}": f'<use href="#after"/><g class="tint"><use href="#map-0"/></g>{_OUTLINES}{numbers}',
    }
    frame = f'viewBox="0 0 {grid.width} {grid.height}"'
    figures = [f"<figure>{title}<svg {frame}>{picture}</svg></figure>" for title, picture in views.items()]
    thick = f"{grid.width / 60:.6g}"
    bar = f'<svg viewBox="0 0 {grid.width} {thick}"><rect width="{length:.6g}" height="{thick}"/></svg>'
    legend = legend_list(0, next(iter(report.legends.values())))
    return f"{''.join(figures)}<div>{bar}{label}</div>{legend}"


def _explanation(report: Report) -> str:
    what = "contains a building" if report.positive == "building" else "changed between the dates"
    unit = "square meters on the ground" if report.is_measured else "pixels, as the images have no coordinate reference system"
    return (
        f"For each pixel, a model estimated the probability that it {what}. Pixels whose probability reaches the threshold are "
        "colored; connected ones are outlined and numbered by size. The mean probability of an area says how sure the model is, "
        "not how often it is right: that depends on how similar the images are to those it was trained and scored on. "
        f"Areas are in {unit}. Click a row, or press Enter on its number, to zoom to it; drag the line to compare the dates. "
        "In pictures of large scenes, small areas look larger than they are."
        f"{report.explanation and ' '}{report.explanation}"
    )

"""Statistics of a change map per polygon, such as the footprint of a building or a district."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import InputError, printable
from cdzoo.inference.sources import Array
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid, grid_of, is_same
from cdzoo.io.rasters import limited_cache, open_raster, reading, valid_pixels
from cdzoo.io.vectors import read_vectors
from cdzoo.scenes.geotiff import STEPS
from cdzoo.scenes.placed import check_placed, place_polygons
from cdzoo.scenes.zonal import ZonalSums, zonal_sums
from cdzoo.tiling import Window

PREFIX = "cd_"
"""Start of the names of the added columns."""
LAYER = "footprints"
"""Layer of an output GeoPackage."""
_COUNTS = ("pixels", "changed", "unknown", "changed_share", "unknown_share")
_LISTED = {"class": "class", "since": "first_date", "probability": "mean_probability"}
_NOTES = ("inside", "all_touched", "remark")


def footprint_table(
    polygons: Any,
    change_map: PathLike,
    probability: PathLike | None = None,
    layer: str | None = None,
    prefix: str = PREFIX,
) -> Any:
    """Return the polygons of a file as a GeoDataFrame, with statistics of a change map in further columns.

    A pixel counts in every polygon that contains its center. Rows, attributes and geometries stay as they are. The columns:

    - `cd_pixels`, `cd_changed`, `cd_unknown`: pixels of the map in the polygon, those that changed, and those without data.
    - `cd_changed_share`, `cd_unknown_share`: changed pixels of those with data, and pixels without data of all; NaN if there are
      none.
    - `cd_mean_probability`: mean probability of change of the pixels with data, if `probability` is given.
    - `cd_area_m2`, `cd_changed_m2`, `cd_unknown_m2`: area of the polygon, and of these pixels, on the ground (`..._px` for maps
      without a coordinate reference system).
    - For maps of several classes: `cd_class`, the most frequent class other than the first ("no change"), and the pixels and the
      area of each of them, `cd_px_NAME` and `cd_m2_NAME`.
    - `cd_inside`: share of the polygon that lies within the map; the others are about this part.
    - `cd_all_touched`: whether the polygon contains no center of a pixel, so that the pixels which it touches count instead.
    - `cd_remark`: why a polygon has no statistics, or that an invalid outline was repaired.

    Args:
        polygons: File of one of `io.vectors.READ`, or a GeoDataFrame, in any coordinate reference system.
        change_map: Map of `predict_scene`, or another raster of 8 bits whose first band is 0 for no change.
        probability: Its probability map.
        layer: Layer of a GeoPackage; may be omitted if only one has geometries.
        prefix: Start of the names of the columns.

    Raises:
        InputError: A file cannot be read; only one of the polygons and the map has a coordinate reference system; an attribute
            has the name of a column; the map has other types of values; or the probability has another grid or no known scale.
        MissingDependencyError: geopandas is not installed.
    """
    frame, name = polygons, "the polygons"
    if isinstance(polygons, str | os.PathLike):
        frame, name = read_vectors(polygons, layer), str(polygons)
    with ExitStack() as stack:
        stack.enter_context(limited_cache())
        file = stack.enter_context(open_raster(change_map, "statistics per polygon"))
        grid = grid_of(change_map, file)
        classes = _class_names(change_map, file)
        chance = None if probability is None else _probability(probability, grid, stack)
        check_footprints(name, frame, grid, prefix)
        placed = place_polygons(frame, grid)
        sums = zonal_sums(placed.pixels, grid, len(classes) + 1, _values(change_map, file, len(classes)), chance)
    columns = _columns(sums, classes, "m2" if grid.crs is not None else "px", placed.area)
    if chance is None:
        del columns["mean_probability"]
    columns |= {"inside": placed.inside.round(6), "all_touched": sums.all_touched, "remark": placed.remarks}
    if taken := [prefix + title for title in columns if prefix + title in frame.columns]:
        raise _taken(name, taken)
    table = frame.assign(**{prefix + title: values for title, values in columns.items()})
    return table.astype({prefix + title: "string" for title in ("class", "remark") if title in columns})


def check_footprints(name: object, frame: Any, grid: Grid, prefix: str = PREFIX) -> None:
    """Check that statistics of a map on a grid can be added to polygons.

    Raises:
        InputError: Only one of the polygons and the map has a coordinate reference system, or a column exists.
    """
    check_placed(name, frame, grid)
    if taken := [prefix + title for title in (*_COUNTS, *_NOTES) if prefix + title in frame.columns]:
        raise _taken(name, taken)


def table_of(output: PathLike, footprints: PathLike | None, table: PathLike | None) -> Path | None:
    """Return the file of the statistics per footprint of a scene; None without footprints.

    Raises:
        InputError: A table is named, and no footprints.
    """
    if footprints is None:
        if table is not None:
            raise InputError(f"{table}: the table of which polygons? Pass their file as footprints")
        return None
    return Path(table or Path(output).with_name(f"{Path(output).stem}_{LAYER}.gpkg"))


def largest_changes(table: Any, count: int, prefix: str = PREFIX) -> list[dict[str, Any]]:
    """Return the polygons with the largest changed areas, largest first, as rows of a table.

    Keys: `id` (`fid`, or the number of the row), `name` if an attribute is called so, `class` for maps of several classes,
    `changed` (area), `area`, `share` and `unknown` in percent, and `probability` if it is known; for a series, `since`.
    """
    unit = "m2" if f"{prefix}area_m2" in table.columns else "px"
    titles = {"changed": f"changed_{unit}", "area": f"area_{unit}", "share": "changed_share", "unknown": "unknown_share"}
    titles |= {title: column for title, column in _LISTED.items()}
    name = next((one for one in table.columns if str(one).lower() == "name"), None)
    order = np.argsort(-table[f"{prefix}changed_{unit}"].to_numpy(), kind="stable")[:count]
    rows = []
    for index in order:
        row = table.iloc[index]
        if row[f"{prefix}changed"] == 0:
            break
        named = {} if name is None else {"name": row[name]}
        found = {key: row[prefix + title] for key, title in titles.items() if prefix + title in table.columns}
        percent = {key: 100 * found[key] for key in ("share", "unknown")}
        rows.append({"id": row.get("fid", index), **named, **found, **percent})
    return rows


def summary(table: Any, prefix: str = PREFIX) -> str:
    """Return one line about a table: the number of polygons, those with changes, and those without statistics by remark."""
    changed, unknown = (int((table[prefix + title] > 0).sum()) for title in ("changed", "unknown"))
    unit = "m2" if f"{prefix}area_m2" in table.columns else "px"
    text = f"{len(table):,} polygons: {changed:,} with change ({table[f'{prefix}changed_{unit}'].sum():,.0f} {unit})"
    text += f", {unknown:,} with pixels without data" if unknown else ""
    small = int(table[f"{prefix}all_touched"].sum())
    text += f", {small:,} smaller than a pixel" if small else ""
    remarks = table[f"{prefix}remark"]
    return text + "".join(f", {number:,} {remark}" for remark, number in remarks[remarks != ""].value_counts().items())


def _taken(name: object, columns: Sequence[str]) -> InputError:
    return InputError(
        f"{name}: has the attribute(s) {', '.join(columns)} already, such as an earlier table; choose another start of the new "
        "names, for example with --prefix new_, or pass the polygons without them"
    )


def _columns(sums: ZonalSums, classes: Sequence[str], unit: str, area: Array) -> dict[str, Any]:
    """Return the columns by title, without prefix."""
    pixels, unknown = sums.counts.sum(1), sums.counts[:, -1]
    changed, known = sums.counts[:, 1:-1].sum(1), pixels - sums.counts[:, -1]
    with np.errstate(invalid="ignore"):
        shares = {"changed_share": changed / known, "unknown_share": unknown / pixels}
        mean = sums.total / sums.known
    columns = {"pixels": pixels, "changed": changed, "unknown": unknown, **shares, "mean_probability": mean}
    columns |= {f"area_{unit}": area, f"changed_{unit}": sums.areas[:, 1:-1].sum(1), f"unknown_{unit}": sums.areas[:, -1]}
    if len(classes) > 2:
        names = _distinct(classes)[1:]
        most = np.array(classes[1:], dtype=object)[sums.counts[:, 1:-1].argmax(1)]
        columns["class"] = np.where(changed > 0, most, None)
        columns |= {f"px_{name}": sums.counts[:, value] for value, name in enumerate(names, 1)}
        if unit != "px":
            columns |= {f"{unit}_{name}": sums.areas[:, value] for value, name in enumerate(names, 1)}
    return columns


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names that differ, also where a file format does not distinguish upper and lower case."""
    lower = [name.lower() for name in names]
    return [name if lower.count(name.lower()) == 1 else f"{name}_{value}" for value, name in enumerate(names)]


def _class_names(path: PathLike, file: Any) -> tuple[str, ...]:
    """Return the names of the values of a map; two for a map without names."""
    if file.dtypes[0] != "uint8":
        raise InputError(
            f"{path}: a change map has values of 8 bits, this has {file.dtypes[0]}; pass a probability in addition to the map "
            "(--probability), and convert other rasters with gdal_translate -ot Byte"
        )
    tags = file.tags(1)
    names: list[str] = []
    while (name := tags.get(f"class_{len(names)}")) is not None:
        names.append(printable(name))
    return tuple(names) if len(names) > 1 else ("no change", "change")


def _values(path: PathLike, file: Any, num_classes: int) -> Callable[[Window], Array]:
    """Return a function that reads the values of a map; those without data, or without a name, are `num_classes`."""
    lookup = np.full(256, num_classes if num_classes > 2 else 1, np.int64)
    lookup[:num_classes] = np.arange(num_classes)

    def read(window: Window) -> Array:
        with reading(path, "damaged or truncated"):
            values, valid = file.read(1, window=window.slices), valid_pixels(file, [1], window=window.slices)
        return np.where(valid, lookup[values], num_classes)

    return read


def _probability(path: PathLike, grid: Grid, stack: ExitStack) -> Callable[[Window], Array]:
    """Return a function that reads the probability of change (h, w), with NaN for pixels without data."""
    file = stack.enter_context(open_raster(path, "statistics per polygon"))
    if not is_same(grid_of(path, file), grid):
        raise InputError(f"{path}: the probability has another grid than the map; pass the one that was written with it")
    # Of several classes, "no change" comes first, unless the change has a probability of its own.
    complement = file.count > 1 and file.descriptions[0] != "change"
    scale, offset = file.scales[0], file.offsets[0]
    if file.dtypes[0] == "uint8" and scale == 1:
        scale = float(file.tags().get("scale", 1 / STEPS))

    def read(window: Window) -> Array:
        with reading(path, "damaged or truncated"):
            values = file.read(1, window=window.slices).astype(np.float64) * scale + offset
            values[~valid_pixels(file, [1], window=window.slices)] = np.nan
        if np.nanmax(values, initial=0) > 1 + 1e-6:
            raise InputError(
                f"{path}: has values beyond 1 ({np.nanmax(values):g}, with scale {scale:g}); state the scale of the file, for "
                "example with gdal_edit.py -scale 0.00392157"
            )
        return 1 - values if complement else values

    return read

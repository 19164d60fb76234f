"""`cdzoo footprints`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdzoo.errors import ConfigError
from cdzoo.io.inputs import existing_file

_LARGEST = 10


def footprints(
    change_map: str,
    polygons: str,
    *,
    output: str,
    probability: str | None = None,
    layer: str | None = None,
    prefix: str = "cd_",
    largest: int = _LARGEST,
) -> None:
    """Write statistics of a change map for each polygon of a file, such as those of buildings or districts.

    Args:
        change_map: Map of cdzoo predict, or another raster of 8 bits that is 0 where nothing changed.
        polygons: Polygons: .gpkg, .geojson, .shp or .parquet, in any coordinate reference system.
        output: Table to write, with the attributes of the polygons: .gpkg, .geojson, .parquet or .csv (without outlines).
        probability: Probability map of cdzoo predict, for the mean probability of each polygon.
        layer: Layer of a .gpkg with several.
        prefix: Start of the names of the new columns.
        largest: Number of polygons with the largest changed areas to print.
    """
    from cdzoo.io.files import replace_atomically
    from cdzoo.io.outputs import check_outputs, exclusive
    from cdzoo.io.vectors import write_vectors
    from cdzoo.scenes.footprints import LAYER, footprint_table
    from cdzoo.scenes.inputs import input_files
    from cdzoo.scenes.outputs import table_output, writing

    if largest < 0:
        raise ConfigError(f"--largest must not be negative, got {largest}")
    target = table_output(output)
    rasters = [existing_file(file) for file in (change_map, probability) if file is not None]
    check_outputs({"-o": target}, [Path(polygons), *(file for raster in rasters for file in input_files(raster))])
    with exclusive(target):
        table = footprint_table(polygons, change_map, probability, layer, prefix)
        with replace_atomically(target) as file, writing(target):
            write_vectors(file, table, LAYER)
    print_largest(target, table, largest, prefix)


def print_largest(target: Path, table: Any, largest: int = _LARGEST, prefix: str = "cd_") -> None:
    """Print a line about a table of footprints, and those with the largest changed areas."""
    from cdzoo.scenes.footprints import largest_changes, summary
    from cdzoo.tables import render

    unit = "m2" if f"{prefix}area_m2" in table.columns else "px"
    print(f"  {target} ({summary(table, prefix)})")
    if rows := largest_changes(table, largest, prefix):
        titles = {
            "id": "id",
            "name": "name",
            "class": "class",
            "since": "since",
            "changed": f"changed {unit}:,.1f",
            "area": f"of {unit}:,.1f",
        }
        titles |= {"share": "changed %:.1f", "unknown": "unknown %:.1f", "probability": "mean probability:.2f"}
        print(render(rows, {key: title for key, title in titles.items() if key in rows[0]}), end="")

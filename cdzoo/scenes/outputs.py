"""Output files of a scene, checked before the prediction starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cdzoo.errors import require
from cdzoo.io.files import output_path

PathLike = str | Path
RASTERS = (".tif", ".tiff")
PAGES = (".html", ".htm")
POLYGONS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".parquet": "Parquet"}
"""Formats of polygons by suffix."""


@dataclass(frozen=True)
class Outputs:
    """Output files of a scene.

    Attributes:
        mask: GeoTIFF of the change map.
        probability: GeoTIFF of the probability; None if it is not needed.
        polygons: File of the changed areas; None if it is not requested.
        report: HTML page; None if it is not requested.
        keep_probability: Whether the probability is requested; otherwise it is removed after polygons and report are written.
    """

    mask: Path
    probability: Path | None
    polygons: Path | None
    report: Path | None
    keep_probability: bool


def check_outputs(mask: PathLike, probability: PathLike | None, polygons: PathLike | None, report: PathLike | None) -> Outputs:
    """Return the output files of a scene.

    Raises:
        InputError: A file has another suffix than its format, or its folder does not exist.
        MissingDependencyError: geopandas, or pyarrow for Parquet, is not installed.
    """
    target = output_path(mask, suffixes=RASTERS, purpose="the map of a scene is a GeoTIFF")
    vector: Path | None = None
    if polygons is not None:
        vector = output_path(polygons, suffixes=tuple(POLYGONS), purpose="the format of polygons follows from the suffix")
        for module in ("geopandas", "pyarrow") if vector.suffix.lower() == ".parquet" else ("geopandas",):
            require(module, "geo", f"{vector}: writing polygons")
    page = None if report is None else output_path(report, suffixes=PAGES, purpose="a report is an HTML page")
    raster = target.with_name(f".{target.stem}.probability.tif") if vector or page else None
    if probability is not None:
        raster = output_path(probability, suffixes=RASTERS, purpose="the probability of a scene is a GeoTIFF")
    return Outputs(target, raster, vector, page, keep_probability=probability is not None)

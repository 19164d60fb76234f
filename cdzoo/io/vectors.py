"""Files of polygons: read with their attributes, and written with further columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import InputError, require
from cdzoo.io.files import PathLike
from cdzoo.io.inputs import existing_file

READ = (".gpkg", ".geojson", ".json", ".shp", ".parquet")
"""Suffixes of the formats that are read."""
WRITTEN = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".parquet": "Parquet", ".csv": "CSV"}
"""Formats that are written, by suffix. Shapefiles cut the names of columns to ten characters."""
_SIGNATURES = {".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a", ".parquet": b"PAR1"}


def check_vector_packages(suffix: str, purpose: str) -> None:
    """Check that the packages for a format are installed.

    Raises:
        MissingDependencyError: geopandas, or pyarrow for Parquet, is not installed.
    """
    for module in ("geopandas", "pyarrow") if suffix.lower() == ".parquet" else ("geopandas",):
        require(module, "geo", purpose)


def read_vectors(path: PathLike, layer: str | None = None) -> Any:
    """Return the features of a file as a GeoDataFrame, in the order of the file.

    The id of each feature in the file, or the row of a Parquet file, is in a column `fid`, unless there is one.

    Args:
        path: Local file of one of `READ`.
        layer: Layer of a GeoPackage; may be omitted if only one has geometries.

    Raises:
        InputError: The file does not exist, is in another format than its suffix says, is damaged, has no geometries, or has
            several layers and none is named.
        MissingDependencyError: geopandas, or pyarrow for Parquet, is not installed.
    """
    file = existing_file(path)
    suffix = file.suffix.lower()
    if suffix not in READ:
        raise InputError(f"{path}: polygons are read from {', '.join(READ)}; convert it first, for example with ogr2ogr")
    check_vector_packages(suffix, f"{path}: reading polygons")
    with file.open("rb") as opened:  # GDAL would take other formats, which may name servers, under any suffix
        start = opened.read(64)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not (text.startswith(b"{") if "json" in suffix else start.startswith(_SIGNATURES[suffix])):
        raise InputError(f"{path}: is not what its suffix {suffix} says; name the format by its suffix, or convert the file")
    import geopandas

    try:
        if suffix == ".parquet":
            frame = geopandas.read_parquet(file)
        else:
            frame = geopandas.read_file(file.absolute(), layer=_layer(file, layer), engine="pyogrio", fid_as_index=True)
    except InputError:
        raise
    except Exception as error:  # of pyogrio, pyarrow, or a missing part of a shapefile
        raise InputError(f"{path}: cannot be read ({error}); check that the file is complete") from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise InputError(f"{path}: has no geometries")
    name = frame.index.name or "fid"
    return frame.reset_index(drop=name in frame.columns, names=name)


def _layer(file: Path, layer: str | None) -> str:
    """Return the layer to read: the one that is named, or the only one that has geometries."""
    import pyogrio

    layers = [name for name, kind in pyogrio.list_layers(file.absolute()) if kind is not None]
    if not layers:
        raise InputError(f"{file}: has no layer with geometries")
    if layer is None and len(layers) == 1:
        return layers[0]
    if layer is None or layer not in layers:
        problem = "several layers" if layer is None else f"no layer '{layer}'"
        raise InputError(f"{file}: has {problem}; name one of {', '.join(layers)}")
    return layer


def write_vectors(target: Path, frame: Any, layer: str) -> None:
    """Write a GeoDataFrame to a file of one of `WRITTEN`; to `.csv` without geometries.

    Attributes that are lists or mappings become JSON, further columns of geometries well-known text, except in Parquet.

    Raises:
        OSError: The file is incomplete, as on a full disk.
    """
    suffix = target.suffix.lower()
    if suffix == ".parquet":
        frame.to_parquet(target)
        return
    frame = frame.copy()
    for name in frame.columns:
        if name != frame.geometry.name and frame[name].dtype == "geometry":
            frame[name] = frame[name].to_wkt()
        elif frame[name].dtype == object and name != frame.geometry.name:
            frame[name] = frame[name].map(_plain)
    if suffix == ".csv":
        frame.drop(columns=frame.geometry.name).to_csv(target, index=False)
        return
    import pyogrio

    if suffix == ".geojson" and frame.crs is not None:
        frame = frame.to_crs("EPSG:4326")
    kind = {} if len(frame) else {"geometry_type": "Polygon"}
    pyogrio.write_dataframe(frame, target, driver=WRITTEN[suffix], layer=layer, **kind)
    if pyogrio.read_info(target, layer=layer, force_feature_count=True)["features"] != len(frame):
        raise OSError("the file is incomplete")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(value, default=str) if isinstance(value, list | dict | tuple) else value

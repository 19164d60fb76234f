"""Change as polygons: traced from a mask, cleaned, measured, and written for a geographic information system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import ConfigError, InputError, MissingDependencyError
from cdzoo.io.files import replace_atomically

FORMATS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".parquet": "Parquet"}
_PIXELS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class PolygonCfg:
    """How polygons are cleaned. Areas are in square metres on the ground, or in pixels where a raster has no coordinates.

    Attributes:
        min_area: Smaller polygons are left out.
        fill_holes: Smaller holes are filled.
        simplify: Largest distance that simplification may move an outline, in pixels; 0 keeps every corner.
    """

    min_area: float = 0.0
    fill_holes: float = 0.0
    simplify: float = 0.0

    def __post_init__(self) -> None:
        """Refuse negative sizes."""
        for name in ("min_area", "fill_holes", "simplify"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")


def check_output(path: str | Path) -> Path:
    """Return the path of a file of polygons, which this module can write.

    Raises:
        InputError: The format is none of `FORMATS`, or the folder is missing.
        MissingDependencyError: geopandas, or pyarrow for Parquet, is not installed.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"{target}: polygons are written as {', '.join(FORMATS)}")
    if not target.resolve().parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; make it first")
    try:
        import geopandas  # noqa: F401  # miss it before hours of prediction

        if target.suffix.lower() == ".parquet":
            import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"polygons need geopandas: pip install 'cdzoo[geo]' ({error})") from error
    return target


def write_polygons(mask: str | Path, probability: str | Path, output: str | Path, cfg: PolygonCfg | None = None) -> int:
    """Trace the changed areas of a map and write them; return their number.

    A polygon is whole wherever tiles or strips were cut; areas that touch at corners alone are apart. Its attributes are
    `area_m2` (geodesic, on WGS 84; `area_px` where the map has no coordinates), `pixels` and `mean_probability`.

    Args:
        mask: Map written by `predict_scene`.
        probability: Map of the probability that goes with it.
        output: `.gpkg`, `.geojson` (in longitude and latitude, as its standard wants) or `.parquet`.
        cfg: Cleaning.

    Raises:
        InputError: The output cannot be written in this format.
        MissingDependencyError: geopandas is not installed.
    """
    target = check_output(output)
    import geopandas
    import rasterio

    cfg = cfg or PolygonCfg()
    with rasterio.open(mask) as masks, rasterio.open(probability) as probabilities:
        crs = masks.crs
        rows = list(_traced(masks, probabilities, cfg))
    area = "area_m2" if crs is not None else "area_px"
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ("area", "pixels", "mean_probability")}
    columns[area] = columns.pop("area")
    frame = geopandas.GeoDataFrame(columns, geometry=[row["geometry"] for row in rows], crs=crs)
    frame = frame.sort_values(area, ascending=False, ignore_index=True)
    if target.suffix.lower() == ".geojson" and crs is not None:
        frame = frame.to_crs("EPSG:4326")
    with replace_atomically(target) as temporary:
        if target.suffix.lower() == ".parquet":
            frame.to_parquet(temporary)
        else:
            frame.to_file(temporary, driver=FORMATS[target.suffix.lower()], layer="change", engine="pyogrio")
    return len(frame)


def traced_areas(masks: Any, probabilities: Any, cfg: PolygonCfg, most: int) -> tuple[list[dict[str, Any]], str]:
    """Return the largest changed areas of two open maps with their centers, and the unit of their area."""
    rows = sorted(_traced(masks, probabilities, cfg), key=lambda row: -row["area"])[:most]
    for row in rows:
        point = row["geometry"].representative_point()
        row["center"] = (point.x, point.y)
    return rows, "square metres" if masks.crs is not None else "pixels"


def _traced(masks: Any, probabilities: Any, cfg: PolygonCfg) -> Iterator[dict[str, Any]]:
    import rasterio
    from rasterio.features import shapes
    from shapely.geometry import shape

    scale = 200.0 if probabilities.dtypes[0] == "uint8" else 1.0
    pixel = abs(masks.transform.determinant) ** 0.5
    measure = _measure(masks.crs)
    band = rasterio.band(masks, 1)
    # The mask is its own mask: 0 is left out, and nodata is told from change by its value.
    for geometry, value in shapes(band, mask=band, transform=masks.transform, connectivity=4):
        if value != 1:
            continue
        polygon = shape(geometry)
        pixels, mean = _inside(masks, probabilities, polygon, scale)
        if cfg.fill_holes:
            polygon = _without_holes(polygon, cfg.fill_holes, measure)
        if cfg.simplify:
            polygon = polygon.simplify(cfg.simplify * pixel, preserve_topology=True)
        area = measure(polygon)
        if area >= cfg.min_area and not polygon.is_empty:
            yield {"geometry": polygon, "area": area, "pixels": pixels, "mean_probability": mean}


def _inside(masks: Any, probabilities: Any, polygon: Any, scale: float) -> tuple[int, float]:
    """Return the number of changed pixels of a polygon and their mean probability; it is read a few rows at a time."""
    from rasterio.features import geometry_window, rasterize
    from rasterio.windows import Window
    from rasterio.windows import transform as window_transform

    around = geometry_window(masks, [polygon])
    step = max(1, _PIXELS_AT_ONCE // around.width)
    count, total = 0, 0.0
    for row in range(0, around.height, step):
        window = Window(around.col_off, around.row_off + row, around.width, min(step, around.height - row))
        values = probabilities.read(1, window=window)
        inside = rasterize([polygon], values.shape, transform=window_transform(window, masks.transform), dtype="uint8") == 1
        inside &= masks.read(1, window=window) == 1
        count += int(inside.sum())
        total += float(values[inside].sum(dtype=np.float64))
    return count, round(total / scale / count, 4)


def _without_holes(polygon: Any, largest: float, measure: Any) -> Any:
    from shapely.geometry import Polygon

    return Polygon(polygon.exterior, [ring for ring in polygon.interiors if measure(Polygon(ring)) >= largest])


def _measure(crs: Any) -> Any:
    """Return the function that gives the area of a polygon: on the ellipsoid, or in pixels without coordinates."""
    if crs is None:
        return lambda polygon: float(polygon.area)
    from pyproj import Geod, Transformer
    from shapely.ops import transform

    to_degrees = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True).transform
    geod = Geod(ellps="WGS84")

    def area(polygon: Any) -> float:
        from shapely.geometry.polygon import orient

        return abs(float(geod.geometry_area_perimeter(orient(transform(to_degrees, polygon)))[0]))

    return area

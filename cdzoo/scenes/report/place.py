"""Location of a scene on the ground: coordinates of pixels, size of a pixel, and north."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cdzoo.errors import InputError
from cdzoo.io.georeference import Grid, Points, move
from cdzoo.io.rasters import require_rasterio

_STRAIGHT = 3.0  # largest deviation from north, in degrees, of a grid that is north-up
_NICE = (1, 2, 5)


@dataclass(frozen=True)
class Place:
    """Location of the pixels of a grid."""

    grid: Grid

    def degrees(self, pixels: Points) -> Points | None:
        """Return the longitudes and latitudes (n, 2) of columns and rows (n, 2), not finite where there are none.

        None if the grid has no coordinate reference system, or none on Earth.
        """
        if self.grid.crs is None:
            return None
        try:
            points = move(self.grid.coordinates(pixels), self.grid.crs, require_rasterio("reports").crs.CRS.from_epsg(4326))
        except InputError:  # of a site or another planet
            return None
        return np.column_stack([(points[:, 0] + 180) % 360 - 180, points[:, 1]])

    def texts(self, pixels: Points) -> list[str]:
        """Return latitude and longitude of columns and rows (n, 2) as text; coordinates, or column and row, without them."""
        degrees = self.degrees(pixels)
        if degrees is not None:
            return [f"{y:.5f}, {x:.5f}" if np.isfinite([x, y]).all() else "none" for x, y in degrees.tolist()]
        points = self.grid.coordinates(pixels) if self.grid.is_placed else pixels
        return [f"{x:.1f}, {y:.1f}" if self.grid.is_placed else f"{x:.0f}, {y:.0f}" for x, y in points.tolist()]

    @property
    def title(self) -> str:
        """What `texts` are."""
        if self._is_on_earth:
            return "latitude, longitude"
        return "coordinates" if self.grid.is_placed else "column, row"

    @cached_property
    def meters(self) -> float | None:
        """Width of a pixel at the center of the grid in meters on the ground; None without a coordinate reference system."""
        if self.grid.crs is None:
            return None
        if self._is_on_earth:
            _, distance = self._direction(np.array([max(1.0, self.grid.width / 20), 0]))
            return distance / max(1.0, self.grid.width / 20)
        factor = self.grid.crs.linear_units_factor[1] if self.grid.crs.is_projected else 1.0
        return float(np.hypot(self.grid.transform.a, self.grid.transform.d)) * factor

    @cached_property
    def is_north_up(self) -> bool:
        """Whether north is up and east is right at the center of the grid."""
        if not self._is_on_earth:
            return False
        step = max(1.0, self.grid.size.max() / 20)
        (up, _), (right, _) = self._direction(np.array([0, -step])), self._direction(np.array([step, 0]))
        return abs(up) < _STRAIGHT and abs(right - 90) < _STRAIGHT

    @cached_property
    def _is_on_earth(self) -> bool:
        center = self.degrees(self.grid.size[None] / 2)
        return center is not None and bool(np.isfinite(center).all())

    def _direction(self, step: Points) -> tuple[float, float]:
        """Return the azimuth in degrees and the distance in meters from the center to a pixel in a direction."""
        from pyproj import Geod

        center = self.grid.size / 2
        points = self.degrees(np.stack([center, center + step]))
        assert points is not None
        azimuth, _, distance = Geod(ellps="WGS84").inv(*points[0], *points[1])
        return float(azimuth), float(distance)


def scale_bar(pixels: float, meters: float | None) -> tuple[float, str]:
    """Return the length in pixels and the label of a scale bar of at most a length, in meters or pixels."""
    length = pixels * (meters or 1.0)
    power = 10 ** np.floor(np.log10(length))
    nice = max(step * power for step in _NICE if step * power <= length)
    label = f"{nice:,.6g} px" if meters is None else f"{nice / 1000:,.6g} km" if nice >= 1000 else f"{nice:,.6g} m"
    return nice / (meters or 1.0), label

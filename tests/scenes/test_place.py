"""Place of a scene on the ground: size of its pixels, coordinates and scale bar."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod
from rasterio.transform import from_origin

from cdzoo.io.georeference import Grid
from cdzoo.scenes.report.content import area_text
from cdzoo.scenes.report.place import Place, scale_bar


class TestPlace:
    @pytest.mark.parametrize(
        ("crs", "transform", "meters", "is_north_up"),
        [
            ("EPSG:32633", from_origin(500_000, 5_000_000, 0.5, 0.5), 0.5 / 0.9996, True),
            ("EPSG:32633", Affine(-0.5, 0, 500_000, 0, 0.5, 5_000_000), 0.5 / 0.9996, False),  # turned by 180 degrees
            ("EPSG:32633", Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000), 0.5 / 0.9996, False),  # mirrored
            ("EPSG:4326", from_origin(200, 60, 1e-4, 1e-4), Geod(ellps="WGS84").inv(200, 59.995, 200.0001, 59.995)[2], True),
            ("EPSG:3413", from_origin(1_000_000, 0, 10, 10), None, False),  # polar, far from its meridian
            (None, Affine.identity(), None, False),
        ],
    )
    def test_size_of_pixels_and_north(self, crs, transform, meters, is_north_up):
        place = Place(Grid(crs and rasterio.crs.CRS.from_user_input(crs), transform, 100, 200))
        assert place.is_north_up == is_north_up
        assert place.meters == pytest.approx(meters, rel=1e-5) if meters else (crs is None) == (place.meters is None)
        if crs == "EPSG:4326":
            assert place.texts(np.array([[100.0, 50.0]])) == ["59.99500, -159.99000"]

    def test_of_a_site(self):
        local = rasterio.crs.CRS.from_wkt('LOCAL_CS["site",UNIT["foot",0.3048],AXIS["x",EAST],AXIS["y",NORTH]]')
        place = Place(Grid(local, from_origin(10, 20, 2, 2), 10, 10))
        assert place.title == "coordinates" and place.texts(np.array([[1.0, 1.0]])) == ["12.0, 18.0"] and not place.is_north_up

    def test_units_suit_the_size(self):
        assert [area_text(area, True) for area in (0, 0.25, 3_992.4, 99_999, 123_456, 12_345_678, 5e9)] == [
            "0 m²", "0.25 m²", "3,992 m²", "10.00 ha", "12.3 ha", "12.3 km²", "5,000 km²"
        ]  # fmt: skip
        assert (area_text(1, False), area_text(600, False)) == ("1 pixel", "600 pixels")
        assert (
            scale_bar(300, 0.5) == (200, "100 m")
            and scale_bar(9000, 1.0) == (5000, "5 km")
            and scale_bar(30, None) == (20, "20 px")
        )

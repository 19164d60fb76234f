"""Scenes whose dates are on different grids."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from cdzoo.scenes import SceneCfg, predict_scene

SMALL = SceneCfg(tile=128, overlap=48, batch_size=3, progress=False)


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


class TestAlignment:
    SQUARE = (500_100, 4_999_900, 500_180, 4_999_850)  # left, top, right, bottom in meters of EPSG:32633

    def pair(self, raster, crs, resolution, offset):
        """Return two gray images of one place: before in UTM at one meter, after on another grid and with a bright square."""
        from rasterio.warp import transform as move

        before = np.full((300, 400, 3), 90, np.uint8)
        if crs == "EPSG:32633":
            grid = from_origin(500_000 - offset, 5_000_000 + offset, resolution, resolution)
        else:
            (x,), (y,) = move("EPSG:32633", crs, [500_000 - offset], [5_000_000 + offset])
            grid = from_origin(x, y, resolution, resolution)
        side = 900
        columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
        xs, ys = grid * (columns.ravel(), rows.ravel())
        east, north = (np.array(v) for v in move(crs, "EPSG:32633", xs, ys))
        left, top, right, bottom = self.SQUARE
        inside = ((east > left) & (east < right) & (north < top) & (north > bottom)).reshape(side, side)
        after = np.full((side, side, 3), 90, np.uint8)
        after[inside] = 220
        return raster("a.tif", before), raster("b.tif", after, crs=crs, transform=grid)

    @pytest.mark.parametrize(
        ("crs", "resolution", "offset"),
        [
            ("EPSG:32633", 1.0, 37.0),
            ("EPSG:32633", 0.5, 10.25),
            ("EPSG:32634", 0.7, 40.0),
            ("EPSG:4326", 0.000008, 30.0),
            ("EPSG:3857", 0.9, 50.0),
        ],
    )
    def test_changed_square_is_detected_at_its_coordinates(self, detector, raster, tmp_path, crs, resolution, offset):
        predict_scene(detector(), *self.pair(raster, crs, resolution, offset), tmp_path / "c.tif", SMALL)
        found = read(tmp_path / "c.tif")
        expected = np.zeros((300, 400), bool)
        expected[100:150, 100:180] = True
        known = found != 255
        assert known[90:160, 90:190].all()
        wrong = (found == 1) != expected
        assert wrong[known].sum() <= 2 * (50 + 80) * 1.5, "more than 1.5 pixels off along the border"

    def test_pixels_outside_the_second_image_are_nodata(self, detector, raster, tmp_path):
        before = np.full((100, 200, 3), 90, np.uint8)
        after = np.full((100, 200, 3), 90, np.uint8)
        shifted = from_origin(500_050, 5_000_000 - 20, 1, 1)
        predict_scene(detector(), raster("a.tif", before), raster("b.tif", after, transform=shifted), tmp_path / "c.tif", SMALL)
        found = read(tmp_path / "c.tif")
        assert (found[21:, 51:] == 0).all() and (found[:19] == 255).all() and (found[:, :49] == 255).all()

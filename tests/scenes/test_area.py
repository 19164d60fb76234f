"""Parts of scenes: rectangles and polygons."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from shapely.geometry import Polygon, box

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes import SceneCfg, predict_scene, scene_area

SMALL = SceneCfg(tile=128, overlap=48, progress=False)
WEST, NORTH = 500_000, 5_000_000


@pytest.fixture
def pair(raster, scene):
    return raster("a.tif", scene[0]), raster("b.tif", scene[1])


def read(path):
    with rasterio.open(path) as file:
        return file.read(1), file.transform


def test_a_rectangle_is_the_map_of_cut_images(pair, scene, raster, detector, tmp_path):
    area = scene_area(pair[0], bbox=(WEST + 99.5, NORTH - 250, WEST + 300, NORTH - 50))
    predict_scene(detector(), *pair, tmp_path / "part.tif", SMALL, area=area)
    cut = [raster(f"cut_{name}.tif", image[50:250, 99:300]) for name, image in (("a", scene[0]), ("b", scene[1]))]
    predict_scene(detector(), *cut, tmp_path / "cut.tif", SMALL)
    (found, transform), (expected, _) = read(tmp_path / "part.tif"), read(tmp_path / "cut.tif")
    np.testing.assert_array_equal(found, expected)
    assert (transform.c, transform.f) == (WEST + 99, NORTH - 50) and found.any()


def test_longitudes_and_latitudes_of_a_projected_image(pair):
    to_degrees = Transformer.from_crs(32633, 4326, always_xy=True)
    (left, right), (bottom, top) = to_degrees.transform([WEST + 100, WEST + 300], [NORTH - 250, NORTH - 50])
    grid = scene_area(pair[0], bbox=(left, bottom, right, top)).grid
    assert grid.transform.c == pytest.approx(WEST + 100, abs=1.5) and grid.transform.f == pytest.approx(NORTH - 50, abs=1.5)
    assert (grid.width, grid.height) == (pytest.approx(200, abs=2), pytest.approx(200, abs=2))


def test_pixels_outside_a_polygon_have_no_data(pair, detector, tmp_path):
    shape = Polygon([(60, 60), (320, 90), (260, 210), (90, 200)])  # columns and rows
    placed = shapely.transform(shape, lambda points: points * (1, -1) + (WEST, NORTH))
    geopandas.GeoDataFrame(geometry=[placed], crs=32633).to_crs(4326).to_file(tmp_path / "aoi.geojson")
    model, output = detector(), tmp_path / "part.tif"
    result = predict_scene(
        model, *pair, output, SMALL, area=scene_area(pair[0], aoi=tmp_path / "aoi.geojson"), skip_finished=True
    )
    mask, transform = read(output)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    inside = shapely.contains_xy(shape, x + transform.c - WEST, y + NORTH - transform.f)
    assert mask.shape == (150, 260) and ((mask != 255) == inside).mean() > 0.9995
    predict_scene(model, *pair, tmp_path / "whole.tif", SMALL)
    whole = read(tmp_path / "whole.tif")[0][60:210, 60:320]
    assert (whole == mask)[mask != 255].mean() > 0.999 and result.pixels == (mask != 255).sum()
    other = scene_area(pair[0], bbox=(WEST + 60, NORTH - 210, WEST + 320, NORTH - 60))
    assert not predict_scene(model, *pair, output, SMALL, area=other, skip_finished=True).finished


def test_invalid_areas(pair, tmp_path, capsys):
    for bbox, message in (
        ((3, 1, 2, 4), "not ascending"),
        ((0, 0, 1000, 1000), r"no pixel lies in .*the image covers \[500000.0"),
    ):
        with pytest.raises(InputError, match=message):
            scene_area(pair[0], bbox=bbox)
    geopandas.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs=4326).to_file(tmp_path / "far.gpkg")
    words = ["predict", *map(str, pair), "-o", str(tmp_path / "c.tif"), "--aoi"]
    assert main([*words, str(tmp_path / "far.gpkg")]) == 2 and "no pixel lies in" in capsys.readouterr().err
    assert main([*words[:-2], str(tmp_path / "c.png"), "--bbox", "[0, 0, 1, 1]"]) == 2
    assert "--bbox is for maps of scenes" in capsys.readouterr().err
    assert main([*words[:-1], "--aoi-layer", "x"]) == 2 and "Pass --aoi FILE" in capsys.readouterr().err

"""Polygons and report of a scene with known changes."""

import re

import geopandas
import numpy as np
import pytest
from affine import Affine
from rasterio.transform import from_origin
from shapely.geometry import box

from cdzoo.errors import ConfigError, InputError
from cdzoo.scenes import PolygonCfg, SceneCfg, predict_scene

SMALL = SceneCfg(tile=128, overlap=48, progress=False)


@pytest.fixture
def squares():
    """Return two dates (400, 400, 3): a large square with a hole across windows and blocks, a small one, and a single pixel."""
    before = np.full((400, 400, 3), 80, np.uint8)
    after = before.copy()
    after[60:260, 100:300] = 220
    after[150:160, 150:160] = 80
    after[300:320, 20:50] = 220
    after[390, 390] = 220
    return before, after


@pytest.fixture
def predicted(detector, raster, squares, tmp_path):
    def run(output, cfg=None, **options):
        paths = raster("a.tif", squares[0], **options), raster("b.tif", squares[1], **options)
        return predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, polygons=tmp_path / output, polygon_cfg=cfg)

    return run


@pytest.mark.parametrize("output", ["change.gpkg", "change.parquet"])
def test_polygons_have_the_locations_and_areas_of_the_squares(predicted, tmp_path, output):
    result = predicted(output)
    frame = geopandas.read_parquet(tmp_path / output) if output.endswith("parquet") else geopandas.read_file(tmp_path / output)
    assert result.polygons == len(frame) == 3 and frame.crs.to_epsg() == 32633
    assert list(frame["pixels"]) == [200 * 200 - 100, 600, 1]
    # On the central meridian of a zone the scale of UTM is 0.9996.
    assert frame["area_m2"].to_numpy() == pytest.approx(frame["pixels"].to_numpy(), rel=2e-3)
    hole = box(500_150, 4_999_840, 500_160, 4_999_850)
    assert frame.geometry[0].equals(box(500_100, 4_999_740, 500_300, 4_999_940).difference(hole))
    assert frame.geometry[1].equals(box(500_020, 4_999_680, 500_050, 4_999_700))
    assert (frame["mean_probability"] > 0.9).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.tif", "b.tif", "c.tif", output])


def test_statistics_of_large_polygons_are_read_in_pieces(predicted, tmp_path, monkeypatch):
    frames = []
    for pixels in (1 << 22, 500):
        monkeypatch.setattr("cdzoo.scenes.polygons._MAX_PIXELS", pixels)
        predicted("change.gpkg")
        frames.append(geopandas.read_file(tmp_path / "change.gpkg"))
    assert frames[0].equals(frames[1]) and frames[0]["pixels"][0] == 39_900


def test_geojson_is_in_longitude_and_latitude(predicted, tmp_path):
    predicted("change.geojson")
    frame = geopandas.read_file(tmp_path / "change.geojson")
    assert frame.crs.to_epsg() == 4326 and 14.9 < frame.geometry[0].centroid.x < 15.1 and 45 < frame.geometry[0].centroid.y < 45.2


def test_degrees_give_square_meters_too(predicted, tmp_path):
    predicted("change.gpkg", crs="EPSG:4326", transform=from_origin(15.0, 60.0, 1e-5, 1e-5))
    frame = geopandas.read_file(tmp_path / "change.gpkg")
    side_ns, side_ew = 1e-5 * 111_412, 1e-5 * 55_800  # meters of a pixel at 60 degrees north
    assert frame["area_m2"][1] == pytest.approx(600 * side_ns * side_ew, rel=0.01)


def test_cleaning(predicted, tmp_path):
    assert predicted("change.gpkg", PolygonCfg(min_area=10, fill_holes=150)).polygons == 2
    frame = geopandas.read_file(tmp_path / "change.gpkg")
    assert not frame.geometry[0].interiors and frame["area_m2"][0] == pytest.approx(40_000, rel=2e-3)
    assert frame["pixels"][0] == 39_900  # the predicted pixels, without filled ones


def test_simplification_moves_outlines_by_its_distance_at_most(detector, raster, tmp_path):
    before = np.full((200, 200, 3), 80, np.uint8)
    after, (rows, columns) = before.copy(), np.mgrid[:200, :200]
    after[(rows - 100) ** 2 + (columns - 100) ** 2 < 60**2] = 220
    paths = raster("a.tif", before), raster("b.tif", after)
    frames = []
    for simplify in (0, 1.5):
        cfg = PolygonCfg(simplify=simplify)
        predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, polygons=tmp_path / "p.gpkg", polygon_cfg=cfg)
        frames.append(geopandas.read_file(tmp_path / "p.gpkg").geometry[0])
    assert len(frames[1].exterior.coords) < len(frames[0].exterior.coords) / 4
    assert frames[0].hausdorff_distance(frames[1]) <= 1.5 + 1e-6


def test_without_coordinates_areas_are_pixels(predicted, tmp_path):
    predicted("change.gpkg", crs=None, transform=Affine.identity())
    frame = geopandas.read_file(tmp_path / "change.gpkg")
    assert list(frame["area_px"]) == [39_900, 600, 1]


def test_without_changes_the_file_is_empty(detector, raster, squares, tmp_path):
    path = raster("a.tif", squares[0])
    assert predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, polygons=tmp_path / "p.gpkg").polygons == 0
    assert len(geopandas.read_file(tmp_path / "p.gpkg")) == 0


def test_invalid_formats_and_sizes(detector, raster, squares, tmp_path):
    path = raster("a.tif", squares[0])
    with pytest.raises(InputError, match=r"use one of \.gpkg, \.geojson, \.parquet"):
        predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, polygons=tmp_path / "p.shp")
    with pytest.raises(InputError, match=r"a report is an HTML page; use one of \.html"):
        predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, report=tmp_path / "r.pdf")
    with pytest.raises(ConfigError, match="min_area must be greater than or equal to 0, got -1"):
        PolygonCfg(min_area=-1)
    assert not (tmp_path / "c.tif").exists()


def test_the_report_is_one_self_contained_file(detector, raster, squares, tmp_path):
    paths = raster("first <date>.tif", squares[0]), raster("b.tif", squares[1])
    predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, report=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3 and not re.search(r"(src|href)=[\"']?https?:", page)
    assert "first &lt;date&gt;.tif" in page and "<date>" not in page
    assert "40,501 of 160,000 pixels (25.31%)" in page and page.count("<tr><td>") == 3
    assert "<td>500035.0, 4999690.0</td>" in page  # the small square
    assert "square meters" in page and "known" in page and page.count("<rect") == 20
    assert "$" not in page.split("<script>")[0].replace("base64", "")
    assert not list(tmp_path.glob(".c*"))


def test_the_report_of_16_bit_rasters(detector, raster, squares, tmp_path):
    wide = [image.astype(np.uint16) * 10 for image in squares]
    cfg = SceneCfg(tile=128, overlap=48, progress=False, value_range=(0, 2550))
    paths = raster("a.tif", wide[0]), raster("b.tif", wide[1])
    predict_scene(detector(), *paths, tmp_path / "c.tif", cfg, report=tmp_path / "report.html")
    assert "40,501" in (tmp_path / "report.html").read_text()

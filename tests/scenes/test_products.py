"""Polygons and the report of a scene with known squares."""

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
    """Two dates (400, 400, 3): a big square with a hole across strips and tiles, a small one, and a single pixel."""
    before = np.full((400, 400, 3), 80, np.uint8)
    after = before.copy()
    after[60:260, 100:300] = 220
    after[150:160, 150:160] = 80
    after[300:320, 20:50] = 220
    after[390, 390] = 220
    return before, after


@pytest.fixture
def mapped(detector, raster, squares, tmp_path):
    def run(output, cfg=None, **options):
        paths = raster("a.tif", squares[0], **options), raster("b.tif", squares[1], **options)
        return predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, polygons=tmp_path / output, polygon_cfg=cfg)

    return run


@pytest.mark.parametrize("output", ["change.gpkg", "change.parquet"])
def test_polygons_lie_where_the_squares_are_and_have_their_areas(mapped, tmp_path, output):
    result = mapped(output)
    frame = geopandas.read_parquet(tmp_path / output) if output.endswith("parquet") else geopandas.read_file(tmp_path / output)
    assert result.polygons == len(frame) == 3 and frame.crs.to_epsg() == 32633
    assert list(frame["pixels"]) == [200 * 200 - 100, 600, 1]
    # In the middle of its zone UTM shows lengths 0.04 % too small.
    assert frame["area_m2"].to_numpy() == pytest.approx(frame["pixels"].to_numpy(), rel=2e-3)
    hole = box(500_150, 4_999_840, 500_160, 4_999_850)
    assert frame.geometry[0].equals(box(500_100, 4_999_740, 500_300, 4_999_940).difference(hole))
    assert frame.geometry[1].equals(box(500_020, 4_999_680, 500_050, 4_999_700))
    assert (frame["mean_probability"] > 0.9).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.tif", "b.tif", "c.tif", output])


def test_large_polygons_are_measured_a_few_rows_at_a_time(mapped, tmp_path, monkeypatch):
    frames = []
    for pixels in (1 << 22, 500):
        monkeypatch.setattr("cdzoo.scenes.polygons._PIXELS_AT_ONCE", pixels)
        mapped("change.gpkg")
        frames.append(geopandas.read_file(tmp_path / "change.gpkg"))
    assert frames[0].equals(frames[1]) and frames[0]["pixels"][0] == 39_900


def test_geojson_is_in_longitude_and_latitude(mapped, tmp_path):
    mapped("change.geojson")
    frame = geopandas.read_file(tmp_path / "change.geojson")
    assert frame.crs.to_epsg() == 4326 and 14.9 < frame.geometry[0].centroid.x < 15.1 and 45 < frame.geometry[0].centroid.y < 45.2


def test_degrees_give_square_metres_too(mapped, tmp_path):
    mapped("change.gpkg", crs="EPSG:4326", transform=from_origin(15.0, 60.0, 1e-5, 1e-5))
    frame = geopandas.read_file(tmp_path / "change.gpkg")
    side_ns, side_ew = 1e-5 * 111_412, 1e-5 * 55_800  # metres of a pixel at 60 degrees north
    assert frame["area_m2"][1] == pytest.approx(600 * side_ns * side_ew, rel=0.01)


def test_cleaning(mapped, tmp_path):
    assert mapped("change.gpkg", PolygonCfg(min_area=10, fill_holes=150)).polygons == 2
    frame = geopandas.read_file(tmp_path / "change.gpkg")
    assert not frame.geometry[0].interiors and frame["area_m2"][0] == pytest.approx(40_000, rel=2e-3)
    assert frame["pixels"][0] == 39_900  # what the model found, whatever was filled


def test_simplification_stays_within_its_distance(detector, raster, tmp_path):
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


def test_without_coordinates_areas_are_pixels(mapped, tmp_path):
    mapped("change.gpkg", crs=None, transform=Affine.identity())
    frame = geopandas.read_file(tmp_path / "change.gpkg")
    assert list(frame["area_px"]) == [39_900, 600, 1]


def test_no_change_is_an_empty_file(detector, raster, squares, tmp_path):
    path = raster("a.tif", squares[0])
    assert predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, polygons=tmp_path / "p.gpkg").polygons == 0
    assert len(geopandas.read_file(tmp_path / "p.gpkg")) == 0


def test_formats_and_sizes_that_cannot_be(detector, raster, squares, tmp_path):
    path = raster("a.tif", squares[0])
    with pytest.raises(InputError, match=r"written as \.gpkg, \.geojson, \.parquet"):
        predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, polygons=tmp_path / "p.shp")
    with pytest.raises(InputError, match=r"name it \.html"):
        predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, report=tmp_path / "r.pdf")
    with pytest.raises(ConfigError, match="min_area must not be negative"):
        PolygonCfg(min_area=-1)
    assert not (tmp_path / "c.tif").exists()


def test_the_report_is_one_file_that_says_what_was_found(detector, raster, squares, tmp_path):
    paths = raster("first <date>.tif", squares[0]), raster("b.tif", squares[1])
    predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, report=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3 and not re.search(r"(src|href)=[\"']?https?:", page)
    assert "first &lt;date&gt;.tif" in page and "<date>" not in page
    assert "40,501 of 160,000 pixels (25.31%)" in page and page.count("<tr><td>") == 3
    assert "<td>500035.0, 4999690.0</td>" in page  # the small square
    assert "square metres" in page and "known" in page and page.count("<rect") == 20
    assert "$" not in page.split("<script>")[0].replace("base64", "")
    assert not list(tmp_path.glob(".c*"))


def test_the_report_of_deep_rasters(detector, raster, squares, tmp_path):
    deep = [image.astype(np.uint16) * 10 for image in squares]
    cfg = SceneCfg(tile=128, overlap=48, progress=False, value_range=(0, 2550))
    paths = raster("a.tif", deep[0]), raster("b.tif", deep[1])
    predict_scene(detector(), *paths, tmp_path / "c.tif", cfg, report=tmp_path / "report.html")
    assert "40,501" in (tmp_path / "report.html").read_text()

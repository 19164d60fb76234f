"""Polygons and report of a scene with known changes."""

import functools

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from rasterio.features import shapes
from rasterio.transform import from_origin
from shapely.geometry import box, shape

from cdzoo.errors import ConfigError, InputError
from cdzoo.scenes import PolygonCfg, SceneCfg, cleaning, predict_scene

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
    read = geopandas.read_parquet if output.endswith("parquet") else functools.partial(geopandas.read_file, layer="change")
    frame = read(tmp_path / output)
    assert result.polygons == len(frame) == 3 and frame.crs.to_epsg() == 32633
    assert list(frame["pixels"]) == [200 * 200 - 100, 600, 1]
    # On the central meridian of a zone the scale of UTM is 0.9996.
    assert frame["area_m2"].to_numpy() == pytest.approx(frame["pixels"].to_numpy(), rel=2e-3)
    hole = box(500_150, 4_999_840, 500_160, 4_999_850)
    assert frame.geometry[0].equals(box(500_100, 4_999_740, 500_300, 4_999_940).difference(hole))
    assert frame.geometry[1].equals(box(500_020, 4_999_680, 500_050, 4_999_700))
    assert (frame["mean_probability"] > 0.9).all()
    files = ["a.tif", "b.tif", "c.qml", "c.tif", "c.tif.aux.xml", output] + ([] if output.endswith("gpkg") else ["change.qml"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_statistics_of_large_polygons_are_read_in_pieces(predicted, tmp_path, monkeypatch):
    frames = []
    for pixels in (1 << 22, 500):
        monkeypatch.setattr("cdzoo.scenes.polygons._MAX_PIXELS", pixels)
        predicted("change.gpkg")
        frames.append(geopandas.read_file(tmp_path / "change.gpkg", layer="change"))
    assert frames[0].equals(frames[1]) and frames[0]["pixels"][0] == 39_900


def test_geojson_is_in_longitude_and_latitude(predicted, tmp_path):
    predicted("change.geojson")
    frame = geopandas.read_file(tmp_path / "change.geojson")
    assert frame.crs.to_epsg() == 4326 and 14.9 < frame.geometry[0].centroid.x < 15.1 and 45 < frame.geometry[0].centroid.y < 45.2


def test_degrees_give_square_meters_too(predicted, tmp_path):
    predicted("change.gpkg", crs="EPSG:4326", transform=from_origin(15.0, 60.0, 1e-5, 1e-5))
    frame = geopandas.read_file(tmp_path / "change.gpkg", layer="change")
    side_ns, side_ew = 1e-5 * 111_412, 1e-5 * 55_800  # meters of a pixel at 60 degrees north
    assert frame["area_m2"][1] == pytest.approx(600 * side_ns * side_ew, rel=0.01)


def test_cleaning(predicted, tmp_path):
    assert predicted("change.gpkg", PolygonCfg(min_area=10, fill_holes=150)).polygons == 2
    frame = geopandas.read_file(tmp_path / "change.gpkg", layer="change")
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
        frames.append(geopandas.read_file(tmp_path / "p.gpkg", layer="change").geometry[0])
    assert len(frames[1].exterior.coords) < len(frames[0].exterior.coords) / 4
    assert frames[0].hausdorff_distance(frames[1]) <= 1.5 + 1e-6


def test_without_coordinates_areas_are_pixels(predicted, tmp_path):
    predicted("change.gpkg", crs=None, transform=Affine.identity())
    frame = geopandas.read_file(tmp_path / "change.gpkg", layer="change")
    assert list(frame["area_px"]) == [39_900, 600, 1]


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_without_changes_the_file_is_empty_and_has_the_same_columns(detector, raster, squares, tmp_path, suffix):
    paths = raster("a.tif", squares[0]), raster("b.tif", squares[1])
    read = geopandas.read_parquet if suffix == ".parquet" else functools.partial(geopandas.read_file, layer="change")
    frames = []
    for number, after in enumerate(paths):
        file = tmp_path / f"p{number}{suffix}"
        predict_scene(
            detector(),
            paths[0],
            after,
            tmp_path / "c.tif",
            SMALL,
            polygons=file,
            polygon_cfg=PolygonCfg(fill_holes=9, simplify=1),
        )
        frames.append(read(file))
    assert len(frames[0]) == 0 < len(frames[1]) and list(frames[0].dtypes) == list(frames[1].dtypes)
    if suffix == ".gpkg":
        assert len({pyogrio.read_info(tmp_path / f"p{number}.gpkg", "change")["geometry_type"] for number in range(2)}) == 1


def test_polygons_in_filled_holes_become_part_of_the_one_around():
    """Rings in rings, also around a hole that stays."""
    ring = box(0, 0, 20, 20).difference(box(2, 2, 18, 18))
    inner = box(4, 4, 12, 12).difference(box(5, 5, 11, 11))
    polygons = np.array([ring, inner, box(7, 7, 8, 8), box(14, 14, 15, 15), box(30, 30, 31, 31)], dtype=object)
    cleaned, part, kept = cleaning.fill_holes(polygons, lambda holes: shapely.area(holes) < 1000)
    assert [one.area for one in cleaned] == [400, 1] and part.tolist() == [0, 0, 0, 0, 1] and kept.tolist() == [0, 4]
    cleaned, part, kept = cleaning.fill_holes(polygons, lambda holes: shapely.area(holes) < 100)
    assert [one.area for one in cleaned] == [400 - 256, 64, 1, 1] and part.tolist() == [0, 1, 1, 2, 3]
    assert kept.tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("seed", range(3))
def test_simplified_polygons_do_not_overlap(seed):
    pixels = np.random.default_rng(seed).random((60, 60)) < 0.55
    traced = [shape(outline) for outline, value in shapes(pixels.astype(np.uint8), connectivity=4) if value]
    polygons = np.array(traced, dtype=object)
    simplified = cleaning.simplify(polygons, 2.0)
    assert (
        shapely.is_valid(simplified).all()
        and shapely.get_num_coordinates(simplified).sum() < shapely.get_num_coordinates(polygons).sum()
    )
    assert shapely.area(simplified).sum() == pytest.approx(shapely.union_all(simplified).area)


def test_invalid_formats_and_sizes(detector, raster, squares, tmp_path):
    path = raster("a.tif", squares[0])
    with pytest.raises(InputError, match=r"use one of \.gpkg, \.geojson, \.parquet"):
        predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, polygons=tmp_path / "p.shp")
    with pytest.raises(InputError, match=r"a report is an HTML page; use one of \.html"):
        predict_scene(detector(), path, path, tmp_path / "c.tif", SMALL, report=tmp_path / "r.pdf")
    with pytest.raises(ConfigError, match="min_area must be greater than or equal to 0, got -1"):
        PolygonCfg(min_area=-1)
    assert not (tmp_path / "c.tif").exists()

"""Statistics of a change map per polygon, compared with rasterstats and with counts of the centers of pixels by shapely."""

import runpy
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import rasterio
import rasterstats
import shapely
from pyproj import Geod
from rasterio.transform import from_origin
from shapely.geometry import MultiPolygon, Point, Polygon, box

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes import SceneCfg, footprint_table, predict_scene
from cdzoo.scenes.footprints import largest_changes

HEIGHT, WIDTH = 180, 230
SYSTEMS = {"EPSG:32633": from_origin(500_000, 5_000_000, 2, 2), "EPSG:4326": from_origin(15.0, 60.0, 2e-5, 1e-5)}


@pytest.fixture
def tiles(monkeypatch):
    """Read maps in tiles that most polygons cross."""
    monkeypatch.setattr("cdzoo.scenes.zonal._TILE", 64)


@pytest.fixture
def change_map(tmp_path):
    """Write a map and its probability; return their values as well."""

    def write(crs="EPSG:32633", transform=None, values=None, names=()):
        rng = np.random.default_rng(0)
        probability = rng.integers(0, 201, (HEIGHT, WIDTH), dtype=np.uint8)
        if values is None:
            values = (probability >= 120).astype(np.uint8)
        values[60:80, 100:130] = probability[60:80, 100:130] = 255
        profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 1, "dtype": "uint8", "nodata": 255, "crs": crs}
        profile["transform"] = transform or SYSTEMS.get(crs, rasterio.Affine.identity())
        for name, pixels in (("map.tif", values), ("p.tif", probability)):
            with rasterio.open(tmp_path / name, "w", **profile) as file:
                file.write(pixels, 1)
                file.update_tags(1, **{f"class_{value}": title for value, title in enumerate(names)})
        return tmp_path / "map.tif", tmp_path / "p.tif", values, probability

    return write


def rotated(count, crs, smallest=3, largest=30, seed=1):
    """Return rotated boxes (in pixels, and in the system of a map), many of which overlap, and some lie across its border."""
    rng = np.random.default_rng(seed)
    sides, angles = rng.uniform(smallest, largest, (count, 2)), rng.uniform(0, 180, count)
    centers = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
    pixels = [
        shapely.affinity.translate(shapely.affinity.rotate(box(0, 0, *side), angle), *(center - side / 2))
        for side, angle, center in zip(sides, angles, centers, strict=True)
    ]
    return np.array(pixels), placed(pixels, crs)


def placed(pixels, crs, **columns):
    matrix = SYSTEMS[crs]
    shapes = shapely.transform(np.array(pixels, dtype=object), lambda points: np.column_stack(matrix @ points.T))
    return geopandas.GeoDataFrame({"id": [f"b{number}" for number in range(len(pixels))], **columns}, geometry=shapes, crs=crs)


def centers_in(polygon):
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return shapely.contains_xy(polygon, x, y)


@pytest.mark.parametrize("crs", SYSTEMS)
def test_counts_equal_those_of_shapely_and_rasterstats(change_map, tiles, crs):
    mask, chance, values, probability = change_map(crs)
    pixels, frame = rotated(40, crs)
    table = footprint_table(frame, mask, chance)
    inside = [centers_in(polygon) for polygon in pixels]
    found = table[["cd_pixels", "cd_changed", "cd_unknown"]].to_numpy()
    assert (found == [[at.sum(), (values[at] == 1).sum(), (values[at] == 255).sum()] for at in inside]).all()
    means = [np.mean(probability[at & (probability != 255)]) / 200 for at in inside]
    assert table["cd_mean_probability"].to_numpy() == pytest.approx(means, rel=1e-12)
    shares = [(values[at] == 1).sum() / (values[at] != 255).sum() for at in inside]
    assert table["cd_changed_share"].to_numpy() == pytest.approx(shares)
    theirs = rasterstats.zonal_stats(frame, str(mask), categorical=True, stats=["nodata"], nodata=255)
    assert found[:, 1].tolist() == [one.get(1, 0) for one in theirs]
    assert not table["cd_all_touched"].any() and (table["cd_remark"] == "").all()
    overlaps = [one.intersects(other) for number, one in enumerate(pixels) for other in pixels[:number]]
    assert sum(overlaps) > 20 and (found[:, 2] > 0).sum() > 1 and (table["cd_inside"] < 1).sum() > 3


def test_polygons_without_a_center_count_the_pixels_they_touch(change_map, tiles):
    mask, chance, *_ = change_map()
    crs = "EPSG:32633"
    tiny = [box(x + 0.6, y + 0.6, x + 1.4, y + 1.4) for x, y in ((10, 10), (63, 20), (31, 63), (105, 65))]
    frame = placed([*tiny, box(20, 20, 30, 30)], crs)
    table = footprint_table(frame, mask, chance)
    options = {"stats": ["count", "sum", "nodata"], "nodata": 255}
    theirs = rasterstats.zonal_stats(frame[:4], str(mask), all_touched=True, **options)
    assert table["cd_all_touched"].tolist() == [True] * 4 + [False]
    assert table["cd_pixels"].tolist() == [4, 4, 4, 4, 100] == [one["count"] + one["nodata"] for one in theirs] + [100]
    assert table["cd_changed"].tolist()[:4] == [one["sum"] or 0 for one in theirs]
    assert table["cd_unknown"].tolist() == [0, 0, 0, 4, 0] and np.isnan(table["cd_changed_share"][3])


def test_areas_on_the_ground(change_map, tiles):
    """In degrees, pixels of one row are smaller toward the pole; Web Mercator enlarges all."""
    for crs, transform in (("EPSG:4326", from_origin(15.0, 70.0, 0.02, 0.01)), ("EPSG:3857", from_origin(1e6, 8e6, 10, 10))):
        values = np.zeros((HEIGHT, WIDTH), np.uint8)
        values[100:150, 20:60] = 1
        mask, *_ = change_map(crs, transform, values)
        district = box(*transform @ (10, 170), *transform @ (90, 90))
        table = footprint_table(geopandas.GeoDataFrame(geometry=[district], crs=crs), mask)
        corners = np.array(shapely.segmentize(box(20, 100, 60, 150), 0.1).exterior.coords)
        points = geopandas.points_from_xy(*transform @ corners.T, crs=crs).to_crs(4326)
        expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(points.x, points.y)[0])
        assert table["cd_changed_m2"][0] == pytest.approx(expected, rel=1e-6)
        assert table["cd_area_m2"][0] == pytest.approx(expected * 80 * 80 / 2000, rel=0.05)


def test_geometries_that_are_no_polygons_are_kept_with_a_remark(change_map):
    mask, *_ = change_map()
    bow = Polygon([(10, 10), (20, 20), (20, 10), (10, 20)])
    shapes = [None, Polygon(), Point(5, 5), bow, box(1000, 0, 1010, 10), box(-5, 0, 5, 10), Polygon([(1, 1), (5, 5), (3, 3)])]
    shapes.append(MultiPolygon([box(40, 40, 45, 45), box(50, 50, 52, 52)]))
    frame = placed(shapes, "EPSG:32633", floors=range(8))
    table = footprint_table(frame, mask)
    remarks = ["no geometry", "empty geometry", "not a polygon", "invalid outline, repaired for the statistics"]
    assert table["cd_remark"].tolist() == [*remarks, "outside the map", "", "no area", ""]
    assert np.delete(table["cd_pixels"].to_numpy(), 3).tolist() == [0, 0, 0, 0, 50, 0, 29]
    assert 40 <= table["cd_pixels"][3] <= 60  # two triangles of 50 pixels together, with centers on their outlines
    assert table["cd_inside"].tolist()[4:] == [0, 0.5, 0, 1]
    assert table["cd_area_m2"][7] == pytest.approx(29 * 4, rel=1e-3) and np.isnan(table["cd_area_m2"][0])
    assert table["floors"].tolist() == list(range(8)) and table.geometry.equals(frame.geometry)
    with pytest.raises(InputError, match=r"has the attribute\(s\) cd_pixels, .*--prefix"):
        footprint_table(table, mask)
    assert footprint_table(table, mask, prefix="new_")["new_changed"].equals(table["cd_changed"].rename("new_changed"))


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".parquet"])
def test_files_in_other_systems_keep_their_ids_and_attributes(change_map, tmp_path, suffix):
    mask, chance, *_ = change_map()
    frame = rotated(30, "EPSG:32633", smallest=8)[1]
    expected = footprint_table(frame, mask, chance)
    other = frame.to_crs(4326 if suffix == ".geojson" else 3857)
    file = tmp_path / f"buildings{suffix}"
    other.to_parquet(file) if suffix == ".parquet" else other.to_file(file)
    if suffix == ".gpkg":  # a style that QGIS stores is no layer of polygons
        pyogrio.write_dataframe(pandas.DataFrame({"styleName": ["x"]}), file, layer="layer_styles")
    for output in ("t.gpkg", "t.geojson", "t.parquet", "t.csv"):
        assert main(["footprints", str(mask), str(file), "-o", str(tmp_path / output), "--probability", str(chance)]) == 0
        read = {"t.parquet": geopandas.read_parquet, "t.csv": pandas.read_csv}.get(output, geopandas.read_file)
        table = read(tmp_path / output)
        for name in ("id", "cd_pixels", "cd_changed", "cd_mean_probability"):
            assert table[name].tolist() == expected[name].tolist(), (suffix, output, name)
        if output == "t.gpkg":
            assert table.crs == other.crs and table.geometry.geom_equals_exact(other.geometry, 1e-6).all()


def test_a_geopackage_with_several_layers(change_map, tmp_path, capsys):
    mask, *_ = change_map()
    frame = rotated(3, "EPSG:32633")[1]
    for layer in ("roofs", "gardens"):
        frame.to_file(tmp_path / "b.gpkg", layer=layer)
    words = ["footprints", str(mask), str(tmp_path / "b.gpkg"), "-o", str(tmp_path / "t.csv")]
    assert main(words) == 2
    assert "b.gpkg: has several layers; name one of roofs, gardens" in capsys.readouterr().err
    assert main([*words, "--layer", "gardens"]) == 0 and "3 polygons: " in capsys.readouterr().out


def test_classes_are_counted(change_map):
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[:10, :10], values[:10, 10:13] = 2, 1
    mask, *_ = change_map(values=values, names=("no change", "new <roof>", "gone"))
    table = footprint_table(placed([box(0, 0, 20, 20), box(40, 40, 50, 50)], "EPSG:32633", NAME=["hall", None]), mask)
    assert table["cd_class"].fillna("").tolist() == ["gone", ""]
    assert table["cd_px_new <roof>"].tolist() == [30, 0] and table["cd_px_gone"].tolist() == [100, 0]
    assert table["cd_m2_gone"][0] == pytest.approx(400, rel=1e-3) and table["cd_changed"].tolist() == [130, 0]
    (row,) = largest_changes(table, 10)
    assert row["name"] == "hall" and row["class"] == "gone" and row["share"] == pytest.approx(100 * 130 / 400)


def test_longitudes_of_another_turn(change_map):
    mask, *_ = change_map("EPSG:4326", from_origin(190.0, 60.0, 2e-5, 1e-5))
    frame = geopandas.GeoDataFrame(geometry=[box(-169.9995, 59.9995, -169.999, 59.9998)], crs=4326)
    assert footprint_table(frame, mask)["cd_pixels"].tolist() == [25 * 30]


def test_predict_writes_the_table_of_the_map(detector, raster, scene, tmp_path, monkeypatch):
    """The same as `cdzoo footprints` on the map and its probability, and it is made again if the polygons differ."""
    paths = raster("a.tif", scene[0]), raster("b.tif", scene[1])
    shapes = [box(500_000 + x, 5_000_000 - y - 20, 500_000 + x + 20, 5_000_000 - y) for x, y in ((0, 0), (140, 90), (200, 120))]
    frame = geopandas.GeoDataFrame({"id": [7, 8, 9]}, geometry=shapes, crs=32633)
    frame.to_file(tmp_path / "b.geojson")
    model, cfg = detector(), SceneCfg(tile=128, overlap=48, progress=False)
    options = {"footprints": tmp_path / "b.geojson", "footprint_output": tmp_path / "t.parquet", "skip_finished": True}
    result = predict_scene(model, *paths, tmp_path / "c.tif", cfg, **options)
    assert result.footprints["cd_changed"].tolist() == [0, 100, 400]
    assert result.footprints["cd_mean_probability"].tolist() == pytest.approx([0, 0.25, 1], abs=0.02)
    assert geopandas.read_parquet(tmp_path / "t.parquet").equals(result.footprints)
    assert predict_scene(model, *paths, tmp_path / "c.tif", cfg, **options).finished
    frame[1:].to_file(tmp_path / "b.geojson")
    assert not predict_scene(model, *paths, tmp_path / "c.tif", cfg, **options).finished
    assert len(geopandas.read_parquet(tmp_path / "t.parquet")) == 2
    predict_scene(model, *paths, tmp_path / "c.tif", cfg, probability=tmp_path / "p.tif")
    again = footprint_table(tmp_path / "b.geojson", tmp_path / "c.tif", tmp_path / "p.tif")
    assert again.equals(geopandas.read_parquet(tmp_path / "t.parquet"))
    assert sorted(file.name for file in tmp_path.glob(".*")) == []


def test_invalid_inputs_are_named(change_map, raster, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change_map()
    frame = rotated(3, "EPSG:32633")[1]
    frame.to_file("b.gpkg")
    frame.set_crs(None, allow_override=True).to_file("bare.gpkg")
    (tmp_path / "vrt.gpkg").write_text("<OGRVRTDataSource/>")
    (tmp_path / "cut.gpkg").write_bytes((tmp_path / "b.gpkg").read_bytes()[:5000])
    (tmp_path / "b.kml").write_text("<kml/>")
    raster("other.tif", np.zeros((50, 60, 1), np.uint8))
    raster("wide.tif", np.zeros((HEIGHT, WIDTH, 1), np.uint16))
    cases = [
        (["map.tif", "bare.gpkg"], "no coordinate reference system; state it"),
        (["map.tif", "vrt.gpkg"], "is not what its suffix .gpkg says"),
        (["map.tif", "cut.gpkg"], "cut.gpkg: cannot be read"),
        (["map.tif", "b.kml"], "polygons are read from .gpkg"),
        (["map.tif", "none.gpkg"], "none.gpkg: no such file"),
        (["map.tif", "b.gpkg", "--layer", "x"], "has no layer 'x'; name one of b"),
        (["map.tif", "b.gpkg", "--probability", "other.tif"], "another grid than the map"),
        (["wide.tif", "b.gpkg"], "a change map has values of 8 bits"),
        (["map.tif", "b.gpkg", "-o", "t.shp"], "use one of .gpkg, .geojson, .parquet, .csv"),
        (["map.tif", "b.gpkg", "-o", "b.gpkg"], "is the input b.gpkg as well"),
        (["map.tif", "b.gpkg", "--largest", "-1"], "--largest must not be negative"),
    ]
    before = sorted(path.name for path in tmp_path.iterdir())
    for words, message in cases:
        assert main(["footprints", *words, *([] if "-o" in words else ["-o", "t.csv"])]) == 2, words
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert main(["predict", "map.tif", "map.tif", "-o", "c.tif", "--footprint-output", "t.csv"]) == 2
    assert "Pass their file as footprints" in capsys.readouterr().err


def test_the_benchmark_runs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["footprints.py", "--quick"])
    runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "footprints.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "rasterstats" in out and "0 polygons differ from rasterstats" in out

"""`cdzoo predict -o map.tif`."""

import numpy as np
import pytest
import rasterio

from cdzoo.cli.main import main
from cdzoo.constants import DEFAULT_WEIGHTS
from cdzoo.weights import get_pretrained


@pytest.fixture
def pair(raster, scene):
    return [str(raster(name, image)) for name, image in (("a.tif", scene[0]), ("b.tif", scene[1]))]


def test_geotiff_with_the_bundled_weights(pair, tmp_path, capsys):
    words = ["predict", *pair, "-o", str(tmp_path / "change.tif"), "--probability", str(tmp_path / "p.tif")]
    words += ["--tile", "128", "--overlap", "32", "--probability-type", "float32", "--augment", "flips", "--batch-size", "2"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "123,000 pixels with data changed" in out and ", scale 2)" in out
    with rasterio.open(tmp_path / "change.tif") as mask, rasterio.open(tmp_path / "p.tif") as probability:
        assert mask.crs.to_epsg() == 32633 and mask.tags()["weights"] == DEFAULT_WEIGHTS
        threshold = get_pretrained(DEFAULT_WEIGHTS).threshold
        np.testing.assert_array_equal(mask.read(1) == 1, probability.read(1) >= threshold)


def test_polygons_and_report(pair, tmp_path, capsys):
    words = ["predict", *pair, "-o", str(tmp_path / "c.tif"), "--polygons", str(tmp_path / "p.gpkg")]
    words += ["--report", str(tmp_path / "r.html"), "--min-area", "5", "--fill-holes", "5", "--simplify", "1", "--tile", "192"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert " polygons)" in out and "r.html" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a.tif", "b.tif", "c.qml", "c.tif", "c.tif.aux.xml", "p.gpkg", "r.html")
    ]


def test_classes_are_printed_and_all_maps_are_written(pair, tiny, tmp_path, capsys):
    model = tiny(task="damage", class_names=("intact", "gone")).save_pretrained(tmp_path / "model")
    words = ["predict", *pair, "-o", str(tmp_path / "c.tif"), "--model", str(model), "--tile", "192"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "pixels with data have another class than 'background' (threshold 0.5, tiles of 192); " in out and "background " in out
    assert f"  {tmp_path / 'c.tif'}\n  {tmp_path / 'c_building.tif'}\n" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "c.tif", "--polygons", "p.shp"], "use one of .gpkg"),
        (["-o", "c.tif", "--min-area", "-2"], "min_area must be greater than or equal to 0"),
        (["-o", "c.png", "--report", "r.html"], "name the output .tif"),
        (["-o", "c.tif", "--tile", "32"], "tile must be greater than or equal to 64"),
        (["-o", "c.tif", "--percentiles", "[98, 2]"], "percentiles must be two ascending numbers"),
        (["-o", "c.tif", "--augment", "flip"], "'flip'"),
        (["-o", "c.png", "--probability", "p.tif"], "name the output .tif"),
        (["-o", "c.png", "--decibels", "after", "--value-range-after", "[-25, 0]"], "name the output .tif"),
        (["-o", "c.tif", "--probability", "p.png"], "is a GeoTIFF"),
    ],
)
def test_invalid_options_exit_with_2_and_write_nothing(pair, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *pair, *words]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_a_missing_file(pair, tmp_path, capsys):
    assert main(["predict", pair[0], "none.tif", "-o", str(tmp_path / "c.tif")]) == 2
    assert "none.tif: no such file" in capsys.readouterr().err

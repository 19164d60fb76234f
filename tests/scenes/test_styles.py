"""Styles of QGIS: the names and colors of the task, beside rasters and polygons and inside GeoPackages."""

import dataclasses
import sqlite3
import xml.etree.ElementTree as ElementTree
from contextlib import closing

import numpy as np
import pyogrio
import pytest
import rasterio
from known_tasks import NAMES, known_model, known_scene

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.io.images import read_gray
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.inputs import input_hashes
from cdzoo.scenes.styles import map_style, style_text
from cdzoo.tasks import MapSpec, get_task

SMALL = SceneCfg(tile=128, overlap=32, progress=False)


@pytest.fixture
def binary(detector, raster, scene, tmp_path):
    """Predict a scene of the task `binary`."""
    paths = [raster(name, image[:200, :300]) for name, image in (("a.tif", scene[0]), ("b.tif", scene[1]))]

    def run(output="c.tif", style=True, skip_finished=False, **files):
        cfg = dataclasses.replace(SMALL, style=style)
        files = {name: tmp_path / file for name, file in files.items()}
        return predict_scene(detector(), *paths, tmp_path / output, cfg, skip_finished=skip_finished, **files)

    return run


def entries(path):
    """Return (value, label, color, alpha) of each value of a style of a raster."""
    root = ElementTree.parse(path).getroot()
    items = root.iter("paletteEntry") if root.find("pipe/rasterrenderer").get("type") == "paletted" else root.iter("item")
    return [(float(item.get("value")), item.get("label"), item.get("color"), int(item.get("alpha"))) for item in items]


def hexes(colors):
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colors]


def fills(root):
    """Return the color of the outline of each symbol of a style of polygons, by the name of the symbol."""
    lines = {symbol.get("name"): symbol.find("layer/prop[@k='outline_color']").get("v") for symbol in root.iter("symbol")}
    return {name: tuple(int(level) for level in color.split(",")[:3]) for name, color in lines.items()}


def stored_style(path):
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles").fetchall()
        listed = database.execute("SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'").fetchall()
        columns = database.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall()
    ((layer, column, default, text),) = rows
    assert listed == [("attributes",)] and columns == [(layer, column)] and layer == "change" and default == 1
    return ElementTree.fromstring(text)


def test_a_binary_map_has_names_colors_and_a_style(binary, scene, tmp_path):
    result = binary(probability="p.tif", polygons="c.gpkg")
    with rasterio.open(result.mask) as file:
        np.testing.assert_array_equal(file.read(1), scene[2][:200, :300])
        table, tags = file.colormap(1), file.tags(1)
        assert (table[0], table[1], table[255]) == ((0, 0, 0, 255), (255, 60, 60, 255), (0, 0, 0, 0))
        assert tags == {"class_0": "no change", "class_1": "change"} and file.descriptions == ("change",)
    categories = ElementTree.parse(tmp_path / "c.tif.aux.xml").iter("Category")
    assert [element.text for element in categories] == ["no change", "change"]
    with rasterio.open(result.probability) as file:
        assert (file.scales, file.offsets, file.units) == ((0.005,), (0.0,), ("1",))
        assert file.descriptions == ("probability of change",) and file.tags()["scale"] == "0.005"
        values = file.read(1)
        assert values.dtype == np.uint8 and values.max() == 200 and values[100:180, 150:290].min() > 190
    assert result.styles == (tmp_path / "c.qml", tmp_path / "p.qml")
    assert entries(tmp_path / "c.qml") == [(0, "no change", "#000000", 0), (1, "change", "#ff3c3c", 255)]
    values, _, _, alphas = zip(*entries(tmp_path / "p.qml"), strict=True)
    assert (values[0], values[-1], alphas[0], alphas[-1]) == (0, 1, 0, 255) and list(values) == sorted(values)
    root = stored_style(tmp_path / "c.gpkg")
    assert root.find("renderer-v2").get("type") == "singleSymbol" and fills(root) == {"0": (255, 60, 60)}
    assert list(pyogrio.list_layers(tmp_path / "c.gpkg")[:, 0]) == ["change", "layer_styles"]
    assert pyogrio.read_info(tmp_path / "c.gpkg", "change")["features"] == 1


@pytest.mark.parametrize("name", list(NAMES))
def test_styles_have_the_classes_of_the_task(raster, tmp_path, name):
    before, after, _ = known_scene(name)
    task = (model := known_model(name)).task
    paths = raster("a.tif", before), raster("b.tif", after)
    result = predict_scene(model, *paths, tmp_path / "c.tif", SMALL, tmp_path / "p.tif", tmp_path / "p.gpkg")
    files = (result.mask, *result.further.values())
    for file, (names, colors) in zip(files, task.maps.values(), strict=True):
        expected = zip(range(len(names)), names, hexes(colors), [0, *[255] * (len(names) - 1)], strict=True)
        assert entries(file.with_suffix(".qml")) == list(expected)
    with rasterio.open(result.probability) as file:
        assert set(file.scales) == {0.005} and file.descriptions == task.probability_names
    values, _, _, alphas = zip(*entries(tmp_path / "p.qml"), strict=True)
    assert values[0] == 0 and values[-1] == 1
    assert (alphas[0], alphas[-1]) == ((255, 0) if task.probability_names[0] == "no change" else (0, 255))
    root = stored_style(tmp_path / "p.gpkg")
    main = next(iter(task.maps.values()))
    renderer = root.find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class")
    categories = {item.get("value"): item.get("symbol") for item in renderer.iter("category")}
    assert list(categories) == list(main.class_names[1:])
    assert [fills(root)[symbol] for symbol in categories.values()] == list(main.colors[1:])
    classes = set(pyogrio.read_dataframe(tmp_path / "p.gpkg", "change", read_geometry=False)["class"])
    assert classes and classes <= set(categories)


def test_names_with_markup_and_control_characters_are_kept_apart():
    names = ("no change", '<b> & "roof"', "line\nbreak\x07")
    text = style_text([map_style(MapSpec(names, get_task("multiclass", ("no change", "a", "b")).colors))])
    labels = [item.get("label") for item in ElementTree.fromstring(text).iter("paletteEntry")]
    assert labels[:2] == list(names[:2]) and "\x07" not in labels[2] and labels[2].startswith("line")


def test_a_map_and_polygons_of_one_stem_share_a_file(binary, tmp_path):
    assert binary(polygons="c.geojson").styles == (tmp_path / "c.qml",)
    root = ElementTree.parse(tmp_path / "c.qml").getroot()
    assert root.find("pipe/rasterrenderer").get("type") == "paletted" and root.find("renderer-v2").get("type") == "singleSymbol"
    with pytest.raises(InputError, match=r"the style of probability .*c\.qml: is the output of the style of output as well"):
        binary(probability="c.tiff")


def test_styles_are_switched_off_restored_and_not_taken_from_others(binary, tmp_path):
    files = {"probability": "p.tif", "polygons": "c.gpkg"}
    own = binary(**files).mask.with_suffix(".qml")
    text = own.read_text()
    own.unlink()
    assert binary(**files, skip_finished=True).finished and own.read_text() == text
    own.write_text("<!DOCTYPE qgis><qgis version='3.22.16'/>")  # as QGIS saves it
    with pytest.warns(UserWarning, match=r"c\.qml: a style that cdzoo did not write is kept"):
        assert binary(**files).styles == (tmp_path / "p.qml",)
    assert own.read_text().startswith("<!DOCTYPE qgis><qgis")
    assert binary(**files, style=False).styles == ()
    assert own.exists() and not (tmp_path / "p.qml").exists()
    assert list(pyogrio.list_layers(tmp_path / "c.gpkg")[:, 0]) == ["change"]


def test_the_command_names_the_styles(tiny, raster, scene, tmp_path, capsys):
    paths = [str(raster(name, image[:128, :128])) for name, image in (("a.tif", scene[0]), ("b.tif", scene[1]))]
    words = ["predict", *paths, "-o", str(tmp_path / "c.tif"), "--model", str(tiny().save_pretrained(tmp_path / "model"))]
    assert main([*words, "--progress", "true"]) == 0
    out, err = capsys.readouterr()
    assert "  styles for QGIS: c.qml\n" in out and "predicting: 100%" in err
    assert main([*words, "--style", "false"]) == 0
    assert "styles" not in capsys.readouterr().out and not (tmp_path / "c.qml").exists()


def test_statistics_that_qgis_adds_to_an_input_do_not_count(raster, tmp_path):
    path = raster("a.tif", np.zeros((64, 64, 3), np.uint8))
    expected, notes = input_hashes(path), tmp_path / "a.tif.aux.xml"
    statistic, nodata = '<MDI key="STATISTICS_MEAN">3</MDI>', "<NoDataValue>0</NoDataValue>"
    band = "<PAMDataset><PAMRasterBand band='1'>%s<Metadata>%s</Metadata><Histograms>%s</Histograms></PAMRasterBand></PAMDataset>"
    notes.write_text(band % ("", statistic, "<HistItem/>"))
    assert input_hashes(path) == expected
    notes.write_text(band % (nodata, statistic, ""))
    named = input_hashes(path)
    assert [name for name, _ in named] == ["a.tif", "a.tif.aux.xml"]
    notes.write_text(band % (nodata, statistic + statistic, "<HistItem/>"))
    assert input_hashes(path) == named
    notes.write_text(band % (nodata.replace("0", "1"), statistic, ""))
    assert input_hashes(path) != named


def test_a_map_is_read_as_a_mask(binary):
    result = binary()
    with rasterio.open(result.mask) as file:
        np.testing.assert_array_equal(read_gray(result.mask), file.read(1))

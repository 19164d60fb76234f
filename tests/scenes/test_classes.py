"""Maps of several classes: values, names, colors, probabilities, seams, resumption, polygons and reports."""

import json
import re

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from known_backbones import Convolutions
from known_tasks import NAMES, known_model, known_scene
from page_parser import Page

import cdzoo
from cdzoo.errors import ConfigError, InputError
from cdzoo.models.preprocess import normalize_images
from cdzoo.scenes import PolygonCfg, SceneCfg, predict_scene
from cdzoo.scenes.geotiff import block_class

SMALL = SceneCfg(tile=96, overlap=32, batch_size=3, progress=False)
TASKS = list(NAMES)


def read(path):
    with rasterio.open(path) as file:
        return file.read() if file.count > 1 else file.read(1)


def whole(model, before, after, axes=(), swap=False):
    """Return the probabilities (C, H, W) of whole images that are flipped and exchanged."""
    tensors = [torch.from_numpy(np.flip(image, axes).copy()).permute(2, 0, 1)[None] for image in (before, after)]
    with torch.no_grad():
        found = model.probabilities(model(*normalize_images(model.config, *tensors[:: -1 if swap else 1])))[0].numpy()
    return np.flip(found, [axis + 1 for axis in axes])


@pytest.fixture
def pair(raster):
    def write(name, **options):
        before, after, truth = known_scene(name)
        return raster("a.tif", before, **options), raster("b.tif", after, **options), truth

    return write


@pytest.mark.parametrize("name", TASKS)
def test_maps_have_the_values_names_and_colors_of_the_task(pair, tmp_path, name):
    before, after, truth = pair(name)
    model = known_model(name)
    result = predict_scene(model, before, after, tmp_path / "c.tif", SMALL, tmp_path / "p.tif")
    main, *further = model.task.maps
    files = {main: result.mask, **result.further}
    assert {key: file.name for key, file in result.further.items()} == {key: f"c_{key}.tif" for key in further}
    expected = model.task.predict_maps(whole(model, *known_scene(name)[:2]), 0.5)
    np.testing.assert_array_equal(expected[main], truth)
    for key, (names, colors) in model.task.maps.items():
        with rasterio.open(files[key]) as file:
            np.testing.assert_array_equal(file.read(1), expected[key])
            table, tags = file.colormap(1), file.tags(1)
            assert [table[value][:3] for value in range(len(names))] == list(colors) and table[255] == (0, 0, 0, 0)
            assert [tags[f"class_{value}"] for value in range(len(names))] == list(names)
            assert file.descriptions == (key,) and file.tags()["task"] == name and file.nodata == 255
        companion = files[key].with_name(f"{files[key].name}.aux.xml").read_text()
        assert re.findall("<Category>(.*?)</Category>", companion) == list(names)
    names = model.task.maps[main].class_names
    assert result.classes == {names[value]: count for value, count in zip(*np.unique(truth, return_counts=True), strict=True)}
    assert result.changed == np.count_nonzero(truth) and result.pixels == truth.size
    with rasterio.open(result.probability) as file:
        assert file.descriptions == model.task.probability_names
        np.testing.assert_allclose(file.read() / 200, whole(model, *known_scene(name)[:2]), atol=0.0026)
    pictures = cdzoo.predict_pair(model, *known_scene(name)[:2], tile=96, overlap=32)
    assert list(pictures.maps) == list(model.task.maps)
    np.testing.assert_array_equal(pictures.mask, truth)
    assert pictures.probability.shape == (len(model.task.probability_names), *truth.shape)


def test_windows_equal_the_whole_image_and_channels_keep_their_date(raster, tmp_path):
    torch.manual_seed(1)
    model = known_model("semantic", Convolutions())
    rng = np.random.default_rng(1)
    before, after = (rng.integers(0, 255, (152, 304, 3), dtype=np.uint8) for _ in range(2))
    level = float(np.median(whole(model, before, after)[0]))
    views = [((), False), ((0,), False), ((1,), False), ((0, 1), False)]
    for mode, chosen in (("none", views[:1]), ("all", views + [(axes, True) for axes, _ in views])):
        options = {"tile": 128, "overlap": 64, "batch_size": 3, "augment": mode, "threshold": level}
        cfg = SceneCfg(**options, probability="float32", progress=False)
        predict_scene(model, raster("a.tif", before), raster("b.tif", after), tmp_path / "c.tif", cfg, tmp_path / "p.tif")
        expected = []
        for axes, swap in chosen:
            change, first, second = np.split(whole(model, before, after, axes, swap), [1, 4])
            expected.append(np.concatenate([change, second, first] if swap else [change, first, second]))
        found = read(tmp_path / "p.tif")
        assert np.abs(found - np.mean(expected, 0)).max() < 1e-5
        maps = model.task.predict_maps(found, level)
        for key, file in (("from_to", "c.tif"), ("semantic_t1", "c_semantic_t1.tif"), ("semantic_t2", "c_semantic_t2.tif")):
            np.testing.assert_array_equal(read(tmp_path / file), maps[key])
    assert len(np.unique(maps["from_to"])) > 2


@pytest.mark.parametrize("name", ["multiclass", "damage"])
def test_dates_of_classes_with_a_direction_are_not_swapped(pair, tmp_path, name):
    before, after, truth = pair(name)
    for mode in ("swap", "all"):
        with pytest.raises(ConfigError, match=f"the dates of the task '{name}' cannot be swapped: use 'none' or 'flips'"):
            predict_scene(known_model(name), before, after, tmp_path / "c.tif", SceneCfg(augment=mode))
    predict_scene(known_model(name), before, after, tmp_path / "c.tif", SceneCfg(augment="flips", progress=False))
    np.testing.assert_array_equal(read(tmp_path / "c.tif"), truth)


def test_an_interrupted_run_writes_the_same_bytes(pair, tmp_path, interrupted):
    model = known_model("semantic")
    before, after, _ = pair("semantic")
    outputs = [tmp_path / "one" / "c.tif", tmp_path / "two" / "c.tif"]
    options = {name: f"p.{suffix}" for name, suffix in (("probability", "tif"), ("polygons", "geojson"), ("report", "html"))}

    def run(output, **more):
        files = {name: output.with_name(file) for name, file in options.items()}
        return predict_scene(model, before, after, output, SMALL, **files, **more)

    for output in outputs:
        output.parent.mkdir()
    run(outputs[0])
    interrupted(model, 2, lambda: run(outputs[1]))
    assert run(outputs[1]).resumed >= 1
    names = sorted(path.name for path in outputs[0].parent.iterdir())
    assert len(names) == 13 and names == sorted(path.name for path in outputs[1].parent.iterdir())
    for name in names:
        assert outputs[0].with_name(name).read_bytes() == outputs[1].with_name(name).read_bytes(), name
    assert run(outputs[1], skip_finished=True).finished
    outputs[1].with_name("c_semantic_t2.tif").unlink()
    assert not run(outputs[1], skip_finished=True).finished
    outputs[1].with_name("c_semantic_t1.tif").write_bytes(before.read_bytes())  # not of this job
    assert not run(outputs[1], skip_finished=True).finished


def test_further_maps_are_not_written_over_inputs(raster, tmp_path):
    before, after, _ = known_scene("semantic")
    paths = raster("a.tif", before), raster("c_semantic_t1.tif", after)
    with pytest.raises(InputError, match=r"semantic_t1 beside the output .*c_semantic_t1\.tif: is the input"):
        predict_scene(known_model("semantic"), *paths, tmp_path / "c.tif", SMALL)


def test_nodata_is_nodata_in_all_maps(raster, tmp_path):
    before, after, truth = (image.copy() for image in known_scene("semantic"))
    before[:20] = 0
    result = predict_scene(
        known_model("semantic"), raster("a.tif", before, nodata=0), raster("b.tif", after), tmp_path / "c.tif", SMALL
    )
    for file in (result.mask, *result.further.values()):
        assert (read(file)[:20] == 255).all() and (read(file)[20:] != 255).all()
    np.testing.assert_array_equal(read(result.mask)[20:], truth[20:])
    assert result.pixels == truth[20:].size


class TestPolygons:
    def run(self, pair, tmp_path, name="semantic", **cfg):
        before, after, truth = pair(name)
        files = {"polygons": tmp_path / "p.gpkg", "report": tmp_path / "r.html"}
        predict_scene(known_model(name), before, after, tmp_path / "c.tif", SMALL, polygon_cfg=PolygonCfg(**cfg), **files)
        return geopandas.read_file(files["polygons"], layer="change"), truth

    def test_each_has_one_class_and_its_transition(self, pair, tmp_path):
        frame, _ = self.run(pair, tmp_path)
        assert list(frame["class"]) == ["ground to building", "ground to water", "water to building", "ground to water"]
        assert list(frame["semantic_t1"]) == ["ground", "ground", "water", "ground"]
        assert list(frame["semantic_t2"]) == ["building", "water", "building", "water"]
        assert list(frame["pixels"]) == [60 * 60 - 225, 60 * 30, 400, 225] and (frame["mean_probability"] > 0.9).all()
        assert shapely.union_all(frame.geometry).area == pytest.approx(frame.area.sum())

    def test_grades_of_damage(self, pair, tmp_path):
        frame, truth = self.run(pair, tmp_path, "damage")
        assert list(frame["class"]) == ["no damage", "destroyed", "minor", "minor"] and "building" not in frame
        assert list(frame["pixels"]) == [(truth == 1).sum(), 60 * 60 - 225, 60 * 30, 225]

    def test_a_polygon_in_a_filled_hole_takes_the_class_around_it(self, pair, tmp_path):
        frame, _ = self.run(pair, tmp_path, fill_holes=300, min_area=500)
        assert list(frame["class"]) == ["ground to building", "ground to water"]
        assert list(frame["pixels"]) == [3600, 1800] and not frame.geometry[0].interiors

    def test_simplified_polygons_share_their_borders(self, raster, tmp_path):
        rng = np.random.default_rng(0)
        smooth = torch.nn.functional.avg_pool2d(torch.from_numpy(rng.random((1, 3, 220, 220))), 21, 1).numpy()[0]
        before = np.full((200, 200, 3), 80, np.uint8)
        after = before.copy()
        after[smooth.argmax(0) == 1, 0], after[smooth.argmax(0) == 2, 1] = 220, 220
        frames = []
        for simplify in (0, 2):
            predict_scene(
                known_model("multiclass"), raster("a.tif", before), raster("b.tif", after), tmp_path / "c.tif", SMALL,
                polygons=tmp_path / "p.gpkg", polygon_cfg=PolygonCfg(simplify=simplify),
            )  # fmt: skip
            frames.append(geopandas.read_file(tmp_path / "p.gpkg", layer="change"))
        exact, simple = (frame.geometry.to_numpy() for frame in frames)
        assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(exact).sum() / 2
        assert shapely.is_valid(simple).all() and shapely.coverage_is_valid(simple)
        assert shapely.area(simple).sum() == pytest.approx(shapely.union_all(simple).area)
        borders = [shapely.length(shapely.union_all(shapely.boundary(group))) for group in (exact, simple)]
        assert borders[1] < borders[0] and sorted(frames[0]["class"]) == sorted(frames[1]["class"])

    def test_columns_without_changes(self, raster, tmp_path):
        path = raster("a.tif", known_scene("semantic")[0])
        files = {"polygons": tmp_path / "p.parquet", "report": tmp_path / "r.html"}
        predict_scene(known_model("semantic"), path, path, tmp_path / "c.tif", SMALL, **files)
        frame = geopandas.read_parquet(files["polygons"])
        assert len(frame) == 0 and list(frame.dtypes[:3].astype(str)) == ["string"] * 3
        assert "no change was found" in files["report"].read_text()

    def test_the_report_lists_classes_and_transitions(self, pair, tmp_path):
        self.run(pair, tmp_path)
        page = Page(tmp_path / "r.html")
        titles = [title for title in page.tables if title.startswith("Classes: ")]
        assert titles == ["Classes: from to", "Classes: semantic t1", "Classes: semantic t2"]
        _, *rows, total = page.tables["Classes: from to"]
        cells = {name: (pixels, share) for name, pixels, share, _ in rows}
        assert cells["ground to water"] == ("2,025", "6.43%") and cells["water to building"] == ("400", "1.27%")
        areas = [float(area.replace(",", "")) for *_, area in rows[1:]]
        assert areas == pytest.approx([3375, 2025, 400], rel=2e-3)
        assert total == ["all but unchanged", "5,800", f"{5800 / 31_500:.2%}", f"{sum(areas):,.0f}"]
        assert page.tables["All changes"][3][1:4] == ["water to building", "water", "building"]
        assert [row[1] for row in page.tables["Largest changes"][1:3]] == ["ground to building", "ground to water"]
        colors = {"#{:02x}{:02x}{:02x}".format(*color) for color in known_model("semantic").task.maps["semantic_t1"].colors[1:3]}
        assert colors <= {*page.attributes("rect", "fill")} and "ground to water (2,0" in page.text
        choices = re.findall("<option[^>]*>(.*?)</option>", page.source)
        assert choices == ["from to", "semantic t1", "semantic t2", "none"]
        assert len([one for one in page.attributes("image", "href") if one.startswith("data:image/png")]) == 3

    def test_the_report_counts_buildings_and_grades(self, pair, tmp_path):
        _, truth = self.run(pair, tmp_path, "damage")
        page, changed = Page(tmp_path / "r.html"), int((truth > 0).sum())
        assert f"{changed:,} of {truth.size:,} pixels" in page.notes["more"] and "Area of buildings" in page.facts
        pixels = {name: int(count.replace(",", "")) for name, count, *_ in page.tables["Classes: damage"][1:]}
        assert [pixels[name] for name in NAMES["damage"]] == [(truth == grade).sum() for grade in (1, 2, 3)]
        assert pixels["all but background"] == changed and "Share of buildings in the area with data" in page.text


def test_overviews_have_the_most_frequent_change():
    values = np.array([[0, 0, 3, 1, 255, 255], [0, 2, 1, 3, 255, 255], [5, 5, 0, 0, 255, 4]], np.uint8)
    np.testing.assert_array_equal(block_class(values, 2), [[2, 1, 255], [5, 0, 4]])


def test_optical_and_radar_dates_of_other_bands(raster, tmp_path):
    model = cdzoo.create_model("fc_siam_conc", in_chans=(3, 1), siamese=False, task="damage", class_names=NAMES["damage"]).eval()
    rng = np.random.default_rng(0)
    optical = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
    decibels = rng.uniform(-30, 5, (96, 128, 1))
    intensity = (10 ** (decibels / 10)).astype(np.float32)
    intensity[:4] = 0
    paths = raster("a.tif", optical), raster("b.tif", intensity)
    with pytest.raises(InputError, match=r"b\.tif: float32 values.*--value-range-after"):
        predict_scene(model, *paths, tmp_path / "c.tif", SMALL)
    cfg = SceneCfg(tile=128, value_range_after=(-25, 0), decibels="after", probability="float32", progress=False)
    result = predict_scene(model, *paths, tmp_path / "c.tif", cfg, tmp_path / "p.tif", report=tmp_path / "r.html")
    scaled = ((decibels + 25) / 25).clip(0, 1).astype(np.float32)
    scaled[:4] = 0
    expected = cdzoo.predict_pair(model, optical, scaled)
    np.testing.assert_allclose(read(tmp_path / "p.tif"), expected.probability, atol=1e-4)
    with rasterio.open(result.mask) as file:
        tags = file.tags()
    assert tags["values_before"] == "0 to 255" and tags["values_after"] == "-25 to 0 dB"
    cfg = SceneCfg(tile=128, percentiles_after=(0, 100), decibels="after", progress=False)
    predict_scene(model, *paths, tmp_path / "c.tif", cfg)
    with rasterio.open(result.mask) as file:
        low, high = map(float, re.fullmatch("(.*) to (.*) dB", file.tags()["values_after"]).groups())
    assert low == pytest.approx(decibels[4:].min(), abs=1e-3) and high == pytest.approx(decibels[4:].max(), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value_range_after": (0, 1), "percentiles_after": (2, 98)}, "not both"),
        ({"decibels": "after"}, "decibels need what maps to 0 and 1"),
        ({"decibels": "second"}, "decibels must be 'before', 'after' or 'both'"),
        ({"percentiles_after": (98, 2)}, "percentiles must be two ascending"),
    ],
)
def test_invalid_scalings(options, message):
    with pytest.raises(ConfigError, match=message):
        SceneCfg(**options)


def test_jobs_contain_the_task(pair, tmp_path):
    before, after, _ = pair("damage")
    tags = []
    for names in (NAMES["damage"], ("intact", "hit", "gone")):
        model = known_model("damage")
        model.task = type(model.task)(names)
        predict_scene(model, before, after, tmp_path / "c.tif", SMALL)
        with rasterio.open(tmp_path / "c.tif") as file:
            tags.append(file.tags())
    assert tags[0]["task"] == "damage" and tags[0]["job_sha256"] != tags[1]["job_sha256"]
    assert json.dumps(tags[0], sort_keys=True).replace(tags[0]["job_sha256"], "") == json.dumps(tags[1], sort_keys=True).replace(
        tags[1]["job_sha256"], ""
    )

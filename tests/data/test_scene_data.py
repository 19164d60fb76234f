"""Scenes as training data: windows, labels on other grids, and what is refused."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
geopandas = pytest.importorskip("geopandas")

from made_scenes import HEIGHT, LEFT, SPLITS, TOP, WIDTH, houses, noise, table, write, write_polygons, write_scene  # noqa: E402

from cdzoo.cli.main import main  # noqa: E402
from cdzoo.data.config import DataCfg  # noqa: E402
from cdzoo.data.open import open_data  # noqa: E402
from cdzoo.data.source import FileSource  # noqa: E402
from cdzoo.errors import CdzooError  # noqa: E402
from cdzoo.scenes.raster import RasterSource  # noqa: E402


def test_windows_of_a_scene_are_its_pixels(tmp_path):
    """Compared with the pixels of the file and with the centers in the polygons."""
    given = write_scene(tmp_path)
    opened = open_data(DataCfg(**given, tile=32), ("all",))
    samples = opened.splits["all"]
    assert opened.protocol.tile == 32 and opened.protocol.name == "scene"
    assert len(samples) == 7 * 8 - 7  # the last column has a width of 6, of which less than a quarter is used
    before, after = (rasterio.open(given[name]).read() for name in ("before", "after"))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = shapely.contains_xy(shapely.union_all(houses()), LEFT + columns, TOP - rows)
    seen = np.zeros((HEIGHT, WIDTH), int)
    for name, sample in zip(samples.names, samples, strict=True):
        y, x = map(int, name.rsplit("_", 2)[1:])
        assert sample.name == name and sample.images[0].shape == (3, 32, 32)
        height, width = min(32, HEIGHT - y), min(32, WIDTH - x)
        part = np.s_[y : y + height, x : x + width]
        for image, pixels in zip(sample.images, (before, after), strict=True):
            assert (image[:, :height, :width].numpy() == pixels[(slice(None), *part)]).all() and (image[:, height:] == 0).all()
        target = sample.target["mask"].numpy()
        assert (target[:height, :width] == expected[part]).all() and (target[height:] == 255).all()
        seen[part] += 1
    assert (seen[:, :224] == 1).all()


def test_labels_and_dates_of_other_grids_equal_an_independent_resampling(tmp_path):
    """The second date lies 0.3 and 0.6 pixels away, labels have pixels of 2.5 m in another system and cover a part."""
    from pyproj import Transformer

    before, after = noise(seed=4), noise(HEIGHT + 8, WIDTH + 8, seed=5)
    labels = np.random.default_rng(6).integers(0, 2, (50, 60), dtype=np.uint8) * 255
    to_label = Transformer.from_crs("EPSG:32633", "EPSG:32632", always_xy=True)
    x0, y0 = to_label.transform(LEFT + 20, TOP - 15)
    cfg = DataCfg(
        before=write(tmp_path / "b.tif", before),
        after=write(tmp_path / "a.tif", after, origin=(LEFT - 3.7, TOP + 3.4)),
        mask=write(tmp_path / "m.tif", labels, 2.5, (x0, y0), "EPSG:32632"),
        tile=48,
    )
    samples = open_data(cfg, ("all",)).splits["all"]
    outside = 0
    for index in range(0, len(samples), 3):
        area, sample = samples.cells[index][1].window, samples[index]
        rows, columns = np.mgrid[area.y : min(area.y + 48, HEIGHT), area.x : min(area.x + 48, WIDTH)]
        part = np.s_[: rows.shape[0], : rows.shape[1]]
        assert (sample.images[0].permute(1, 2, 0).numpy()[part] == before[rows, columns]).all()
        # Pixel (0, 0) of the first date is at (3.7, 3.4) of the second one.
        corner, weights = (rows + 3, columns + 3), (0.4, 0.7)
        pixels = sum(
            after[corner[0] + down, corner[1] + across]
            * ((1, -1)[1 - down] * weights[0] + 1 - down)
            * abs(1 - across - weights[1])
            for down, across in itertools.product((0, 1), (0, 1))
        )
        assert np.abs(sample.images[1].permute(1, 2, 0).numpy()[part] - pixels).max() <= 1
        x, y = to_label.transform(LEFT + columns + 0.5, TOP - rows - 0.5)
        i, j = np.floor((y0 - y) / 2.5).astype(int), np.floor((x - x0) / 2.5).astype(int)
        inside = (i >= 0) & (j >= 0) & (i < 50) & (j < 60)
        expected = np.where(inside, labels[i.clip(0, 49), j.clip(0, 59)] // 255, 255)
        assert (sample.target["mask"].numpy()[part] == expected).all()
        outside += np.count_nonzero(~inside)
    assert outside


@pytest.mark.parametrize(
    "options", [{"value_range": (0.0, 3000.0)}, {"percentiles": (2.0, 98.0)}, {"value_range": (0.0, 40.0), "decibels": "both"}]
)
def test_what_is_trained_on_is_what_scenes_are_predicted_from(tmp_path, options):
    deep = np.random.default_rng(7).integers(0, 4000, (HEIGHT, WIDTH, 2)).astype(np.float32)
    deep[50:60, 20:90] = -9999
    given = {
        "before": write(tmp_path / "b.tif", deep, nodata=-9999),
        "after": write(tmp_path / "a.tif", deep[::-1].copy(), 1.3, (LEFT - 9, TOP + 6), nodata=-9999),
    }
    mask = write_polygons(tmp_path / "m.gpkg", houses())
    samples = open_data(DataCfg(**given, mask=mask, tile=64, **options), ("all",), (2, 2)).splits["all"]
    scaling = {"value_range": options.get("value_range"), "percentiles": options.get("percentiles")}
    with RasterSource(given["before"], 2, decibels="decibels" in options, **scaling) as first:
        with RasterSource(given["after"], 2, first.grid, decibels="decibels" in options, **scaling) as second:
            for index in (0, 1):
                area = samples.cells[index][1].window
                (one, valid), (two, also) = first.read(area), second.read(area)
                sample = samples[index]
                for image, pixels, known in zip(sample.images, (one, two), (valid, also), strict=True):
                    expected = np.where(known[..., None], pixels, 0)
                    np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), expected, atol=1e-6)
                assert ((sample.target["mask"].numpy() == 255) == ~(valid & also)).all()


def test_nodata_and_the_area_of_interest_are_left_out(tmp_path):
    """Of 64 windows of 25 pixels, the left half has no data, and the area is a triangle."""
    pixels = noise(200, 200)
    pixels[:, :100] = 0
    area = shapely.Polygon([(LEFT, TOP), (LEFT + 200, TOP), (LEFT + 200, TOP - 200)])
    given = {
        "before": write(tmp_path / "b.tif", pixels, nodata=0),
        "after": write(tmp_path / "a.tif", noise(200, 200, seed=9)),
        "mask": write_polygons(tmp_path / "m.geojson", houses(height=200, width=200), "EPSG:4326"),
    }
    aoi = write_polygons(tmp_path / "area.gpkg", [area], "EPSG:32632")
    samples = open_data(DataCfg(**given, tile=40), ("all",)).splits["all"]
    assert {cell.window.x for _, cell in samples.cells} == {80, 120, 160}
    opened = open_data(DataCfg(**given, tile=40, aoi=aoi), ("all",))
    samples = opened.splits["all"]
    assert {name[2:] for name in samples.names} == {
        *("0000_0080", "0000_0120", "0000_0160", "0040_0080", "0040_0120", "0040_0160"),
        *("0080_0080", "0080_0120", "0080_0160", "0120_0120", "0120_0160", "0160_0160"),
    }
    assert any("window(s) are left out" in note and "area.gpkg" in note for note in opened.notes)
    for (_, cell), sample in zip(samples.cells, samples, strict=True):
        rows, columns = np.mgrid[cell.window.slices] + 0.5
        inside = shapely.contains_xy(area, LEFT + columns, TOP - rows) & (columns > 100)
        wrong = (sample.target["mask"].numpy() != 255) != inside
        assert wrong.sum() <= 40  # centers on the diagonal


def test_small_images_of_a_table_stay_whole_unless_options_say_otherwise(tmp_path):
    given = write_scene(tmp_path)
    rows = table(tmp_path, [given])
    assert not FileSource(DataCfg(pairs=rows)).is_cut
    assert FileSource(DataCfg(pairs=rows, tile=64)).is_cut and FileSource(DataCfg(**given)).is_cut
    (tmp_path / "broken.tif").write_bytes(b"II*")
    assert not FileSource(DataCfg(pairs=table(tmp_path, [{**given, "before": str(tmp_path / "broken.tif")}]))).is_cut
    large = write(tmp_path / "large.tif", np.zeros((40, 4200), np.uint8))
    assert FileSource(DataCfg(pairs=table(tmp_path, [{**given, "before": large}]))).is_cut
    plain = write(tmp_path / "plain.tif", np.zeros((40, 4200), np.uint8), crs=None, origin=(0, 0), scale=-1.0)
    assert FileSource(DataCfg(pairs=table(tmp_path, [{**given, "before": plain}]))).is_cut


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: {"after": write(root / "far.tif", noise(), origin=(LEFT + 9e4, TOP))},
            "far.tif: does not overlap the first",
        ),
        (
            lambda root: {"after": write(root / "x.tif", noise(), crs=None)},
            "x.tif: has coordinates without a coordinate reference",
        ),
        (
            lambda root: {name: write(root / f"{name}_x.tif", noise(), crs=None) for name in ("before", "after")},
            "changes.gpkg: only one of the polygons and the images states a .*; add it to both, .* gdal_edit.py -a_srs",
        ),
        (lambda root: {"after": str(root / "none.tif")}, "--after .*none.tif: no such file"),
        (
            lambda root: {"mask": write_polygons(root / "m.gpkg", [shapely.box(0, 0, 9, 9)])},
            "m.gpkg: no polygon lies in .*before",
        ),
        (lambda root: {"aoi": write_polygons(root / "area.gpkg", [shapely.box(0, 0, 9, 9)])}, "area.gpkg: no polygon lies in"),
        (lambda root: {"aoi": write_polygons(root / "area.gpkg", [])}, "area.gpkg: no polygon lies in"),
        (lambda root: {"aoi": str(root / "none.gpkg")}, "none.gpkg: no such file"),
        (
            lambda root: {"mask": write(root / "m.tif", np.zeros((40, 50), np.uint8), origin=(LEFT + 9e4, TOP))},
            "m.tif: no labeled pixel lies where .*before.tif has data",
        ),
        (
            lambda root: {"mask": write(root / "m.tif", noise(bands=1)[..., 0])},
            "declare what the values mean with --mask-encoding",
        ),
        (lambda root: {"block": 10.0}, "--block 10: smaller than a window of 32 pixels"),
        (
            lambda root: {"block": 2000.0},
            r"the windows lie in 1 block\(s\) of 2000 m, too few .* takes 3; pass a smaller --block",
        ),
        (lambda root: {"tile": 8}, "greater than or equal to 32"),
        (lambda root: {"holdout": 0.7}, "less than or equal to 0.4"),
        (
            lambda root: {"mask": write(root / "m.tif", np.zeros((HEIGHT, WIDTH), np.uint8))},
            "no mask of the .* has changed pixels",
        ),
        (lambda root: {"after": write(root / "deep.tif", noise().astype(np.uint16))}, "deep.tif: 16-bit integer values, but"),
        (lambda root: {"before": write(root / "four.tif", noise(bands=5))}, r"four.tif: the image has 5 band\(s\), expected 3"),
        (
            lambda root: {name: write(root / f"{name}16.tif", noise().astype(np.uint16)) for name in ("before", "after")},
            "uint16 values; pass the .* --value-range 0 4095",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_file(tmp_path, change, message):
    given = {**write_scene(tmp_path), "tile": 32}
    with pytest.raises(CdzooError, match=message):
        open_data(DataCfg(**given | change(tmp_path)), SPLITS)


def test_few_labels_folders_of_bands_and_masks_without_a_place(tmp_path):
    """Bands of 1 m and 2 m, a PNG of the size of the finer ones, and labels in one pixel of one window only."""
    for date in ("before", "after"):
        write(tmp_path / date / "B01.tif", noise(100, 115, 1, seed=4)[..., 0], 2.0)
        write(tmp_path / date / "B02.tif", noise(bands=1, seed=5)[..., 0])
    labels = np.full((HEIGHT, WIDTH), 255, np.uint8)
    labels[70, 101] = 1
    Image.fromarray(labels).save(tmp_path / "m.png")
    paths = {"before": str(tmp_path / "before"), "after": str(tmp_path / "after"), "mask": str(tmp_path / "m.png")}
    opened = open_data(DataCfg(**paths, tile=64, mask_encoding="0/1/255"), ("all",), (2, 2))
    assert opened.names["all"] == ["before_0064_0064"]
    assert any("11 window(s) are left out: no pixel of them has a label" in note for note in opened.notes)
    sample = opened.splits["all"][0]
    assert np.argwhere(sample.target["mask"].numpy() == 1).tolist() == [[6, 37]]
    assert (sample.images[0][1].numpy() == noise(bands=1, seed=5)[64:128, 64:128, 0]).all()


def test_classes_of_scenes(tmp_path):
    """Values of a raster of 2 m, and names of polygons."""
    (tmp_path / "classes.json").write_text(json.dumps({"classes": {"road": 3, "house": 7, "ignore": 9}}))
    values = np.random.default_rng(0).choice(np.array([0, 3, 7, 9], np.uint8), (100, 115))
    given = write_scene(tmp_path) | {"mask": write(tmp_path / "kinds.tif", values, 2.0)}
    samples = open_data(DataCfg(**given, tile=64), ("all",)).splits["all"]
    table = np.zeros(10, np.uint8)
    table[[3, 7, 9]] = 1, 2, 255
    expected = table[values].repeat(2, 0).repeat(2, 1)
    for (_, cell), sample in zip(samples.cells[:4], samples, strict=False):
        assert (sample.target["mask"].numpy() == expected[cell.window.slices]).all()
    boxes = [shapely.box(LEFT, TOP - 200, LEFT + 50, TOP), shapely.box(LEFT + 50, TOP - 200, LEFT + 100, TOP)]
    given["mask"] = write_polygons(tmp_path / "kinds.gpkg", boxes, kind=["House", "road"])
    target = open_data(DataCfg(**given, tile=64, label_attribute="kind"), ("all",)).splits["all"][1].target["mask"].numpy()
    assert (target[:, :36] == 1).all() and (target[:, 36:] == 0).all()


def test_the_share_that_is_held_out_of_a_folder(tmp_path):
    for index, date in itertools.product(range(10), "AB"):
        write(tmp_path / date / f"pair{index}.tif", noise(32, 32, seed=2 * index + (date == "B")))
        write(tmp_path / "label" / f"pair{index}.tif", np.eye(32, dtype=np.uint8))
    found = open_data(DataCfg(str(tmp_path), holdout=0.3), SPLITS)
    assert [len(found.splits[split]) for split in SPLITS] == [5, 2, 3] and found.protocol.carved == 0.3


def test_options_of_scenes_are_for_data_of_ones_own():
    with pytest.raises(CdzooError, match="tile is for data of your own"):
        FileSource(DataCfg("levir_cd", tile=64))


def test_check_of_scenes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = noise(seed=2)
    pixels[:, :60] = 0
    given = write_scene(tmp_path)
    given["before"] = write(tmp_path / "before.tif", pixels, nodata=0)
    names = [word for name in ("before", "after", "mask") for word in (f"--{name}", given[name])]
    assert main(["data", "check", *names, "--tile", "32", "--block", "64"]) == 0
    out = capsys.readouterr().out
    opened = open_data(DataCfg(**given, tile=32, block=64), SPLITS)
    for split in SPLITS:
        samples = opened.splits[split]
        assert f"{split}: {len(samples)} windows in {len({*samples.blocks})} block(s) of ground ({len(samples)} of 32x32)" in out
    assert "3 band(s) uint8" in out and "window(s) are left out" in out and "no problems" in out
    assert (tmp_path / "data_check.png").stat().st_size > 10_000
    with open(given["after"], "r+b") as file:
        file.truncate(90_000)
    assert main(["data", "check", *names, "--tile", "32"]) == 1
    assert "problem: " in (out := capsys.readouterr().out) and "after.tif: truncated" in out


def learnable(root):
    """Write a noisy scene with bright squares at the second date, on a finer grid, and labels as polygons."""
    rng = np.random.default_rng(0)
    side = 512
    boxes = houses(160, side, side)
    before = rng.integers(60, 120, (side, side, 3), dtype=np.uint8)
    fine = rng.integers(60, 120, (2 * side, 2 * side, 3), dtype=np.uint8)
    for box in boxes:
        left, bottom, right, top = box.bounds
        fine[int(2 * (TOP - top)) : int(2 * (TOP - bottom)), int(2 * (left - LEFT)) : int(2 * (right - LEFT))] = 220
    return {
        "before": write(root / "2018.tif", before),
        "after": write(root / "2021.tif", fine, 0.5),
        "mask": write_polygons(root / "new.geojson", boxes, "EPSG:4326"),
    }


@pytest.mark.slow
def test_a_scene_is_trained_on_scored_mapped_and_reproduced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = learnable(tmp_path)
    names = [word for name, path in given.items() for word in (f"--{name}", path)] + ["--tile", "64", "--holdout", "0.15"]
    settings = ["epochs=2", "batch_size=4", "crop=64", "lr=0.01", "device=cpu", "jitter=0"]
    assert main(["train", "--model", "fc_siam_diff", *names, "--out", "run", *settings]) == 0
    out = capsys.readouterr().out
    assert "--tile 64 --holdout 0.15 --split test" in out and "blocks of ground are divided" in out
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["scores"]["f1"] > 0.5, "two epochs learn to find bright squares"
    assert all("@" in one for one in results["pairs"]["train"])
    assert main(["eval", "--model", "run", *names, "--device", "cpu", "--per-image", "w.csv", "--out", "s.json"]) == 0
    assert ", 0 were trained on, 0 were used to select" in capsys.readouterr().out
    assert (tmp_path / "w.csv").read_text().splitlines()[1].split(",")[1].startswith("2018_0")
    assert json.loads((tmp_path / "s.json").read_text())["scores"]["f1"] > 0.5
    assert main(["eval", "--model", "run", *names, "--tile", "96", "--device", "cpu"]) == 0
    assert "OVERLAP" in capsys.readouterr().out
    assert main(["reproduce", "run", "--device", "cpu"]) == 0
    assert main(["predict", given["before"], given["after"], "-o", "map.tif", "--model", "run", "--device", "cpu"]) == 0
    with rasterio.open("map.tif") as found:
        changed = found.read(1) == 1
    rows, columns = np.mgrid[:512, :512] + 0.5
    expected = shapely.contains_xy(shapely.union_all(houses(160, 512, 512)), LEFT + columns, TOP - rows)
    assert (changed & expected).sum() / (changed | expected).sum() > 0.4

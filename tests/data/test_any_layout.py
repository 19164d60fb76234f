"""Pairs from tables and patterns, and labels that are polygons or lie on another grid than the images."""

import json

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from PIL import Image

from cdzoo.cli.main import main
from cdzoo.data.check import check_data
from cdzoo.data.config import DataCfg
from cdzoo.data.open import open_data
from cdzoo.data.patterns import match_patterns
from cdzoo.data.table import read_table
from cdzoo.errors import ConfigError, InputError

SIDE = 32


def image(path, seed=0, bands=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3)[: 2 + (bands > 1)], dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path, value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[4:12, 4:20] = value
    Image.fromarray(pixels).save(path)
    return pixels


def write_named(root, names=("a", "b", "c")):
    """Write files of names that no layout has."""
    for index, name in enumerate(names):
        image(root / "x" / f"{name}_pre.png", 2 * index)
        image(root / "x" / f"{name}_post.png", 2 * index + 1)
        mask(root / "y" / f"{name}.png")


def table(root, text, name="pairs.csv", encoding="utf-8"):
    (root / name).write_bytes(text.encode(encoding))
    return root / name


LINES = """id,before,after,mask,split
1,x/a_pre.png,x/a_post.png,y/a.png,train

2,x/b_pre.png,x/b_post.png,y/b.png,valid
3,x/c_pre.png,x/c_post.png,y/c.png,test
"""


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text, "utf-8"),
        (lambda text: "\ufeff" + text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text.replace(",", ";"), "utf-8-sig"),
        (lambda text: text.replace(",", "\t").replace("before", "Before "), "utf-16"),
        (lambda text: text.replace("/", "\\"), "utf-8"),
    ],
)
def test_tables_of_pairs(tmp_path, change, encoding):
    write_named(tmp_path)
    file = table(tmp_path, change(LINES), encoding=encoding)
    found = read_table(file)
    assert {split: [pair.name for pair in listing.pairs] for split, listing in found.items()} == {
        "train": ["a_pre"],
        "val": ["b_pre"],
        "test": ["c_pre"],
    }
    opened = open_data(DataCfg(pairs=str(file)), ("train", "val", "test"))
    assert opened.names == {"train": ["a_pre"], "val": ["b_pre"], "test": ["c_pre"]}
    assert opened.splits["val"][0].target["mask"].sum() == 128


def test_tables_without_splits_are_carved_and_names_stay_different(tmp_path):
    rows = ["before,after,mask"]
    for index in range(10):
        image(tmp_path / f"s{index}" / "pre.png", index)
        image(tmp_path / f"s{index}" / "post.png", index + 50)
        mask(tmp_path / f"s{index}" / "m.png")
        rows.append(f"s{index}/pre.png,s{index}/post.png,s{index}/m.png")
    file = table(tmp_path, "\n".join(rows))
    opened = open_data(DataCfg(pairs=str(file)), ("train", "val", "test"))
    assert sorted(name for names in opened.names.values() for name in names) == [f"s{index}_pre" for index in range(10)]
    assert all(opened.names.values())
    excluded = open_data(DataCfg(pairs=str(file), exclude=("s[0-4]_*",)), ("all",))
    assert excluded.names["all"] == [f"s{index}_pre" for index in range(5, 10)]


def test_every_bad_line_of_a_table_is_named(tmp_path):
    write_named(tmp_path)
    text = (
        "before,after,mask,split\n"
        "x/a_pre.png,x/none.png,y/a.png,train\n"
        "x/b_pre.png,,y/b.png,holdout\n"
        "x/c_pre.png,x/c_post.png,x,train\n"
    )
    with pytest.raises(InputError) as caught:
        read_table(table(tmp_path, text))
    message = str(caught.value)
    for line in ("line 2: after: ", "line 3: split 'holdout'", "line 3: no path in the column after", "line 4: mask: "):
        assert line in message
    for wrong, expected in (
        ("before,afterr,mask\nx,y,z", r"no column after.*afterr.*Did you mean 'afterr'"),
        ("before,after,mask\nx,y,z,w", "line 2: 4 values for 3 columns"),
        ("before,after,mask\n", "names no pairs"),
        ("", "is empty"),
        (LINES.replace("valid", ""), "line 4: has no split, although other lines have one"),
    ):
        with pytest.raises(InputError, match=expected):
            read_table(table(tmp_path, wrong))
    with pytest.raises(InputError, match="no such file; --pairs takes a table"):
        read_table(tmp_path / "none.csv")


def test_a_line_without_a_mask_is_left_out_and_reported(tmp_path):
    write_named(tmp_path)
    file = table(tmp_path, "before,after,mask\nx/a_pre.png,x/a_post.png,y/a.png\nx/b_pre.png,x/b_post.png,\n")
    with pytest.warns(UserWarning, match=r"1 pair\(s\) without a mask are left out: b_pre"):
        assert open_data(DataCfg(pairs=str(file)), ("all",)).names["all"] == ["a_pre"]
    assert "b_pre has no mask" in check_data(DataCfg(pairs=str(file)), progress=False).problems[0]


def test_patterns_are_matched_by_what_their_wildcards_stand_for(tmp_path):
    write_named(tmp_path)
    given = (f"{tmp_path}/x/*_pre.png", f"{tmp_path}/x/*_post.png", f"{tmp_path}/y/*.png")
    listing = match_patterns(*given)[None]
    assert [(pair.name, pair.images[1].name, pair.mask.name) for pair in listing.pairs] == [
        (name, f"{name}_post.png", f"{name}.png") for name in "abc"
    ]
    (tmp_path / "x" / "b_post.png").unlink()
    (tmp_path / "y" / "c.png").unlink()
    broken = match_patterns(*given)[None]
    assert [pair.name for pair in broken.pairs] == ["a"] and [*broken.unlabeled] == ["c"]
    assert broken.problems == [f"{tmp_path}/x/b_post.png: missing, but there is {tmp_path}/x/b_pre.png"]


def test_patterns_with_folders_and_splits(tmp_path):
    for split in ("training", "validation", "test"):
        for city in ("rome", "oslo"):
            image(tmp_path / split / city / "2018" / "i.png", hash(split + city) % 1000)
            image(tmp_path / split / city / "2020" / "i.png", hash(split + city) % 999)
            mask(tmp_path / split / city / "m.png", 1)
    before, after = (f"{tmp_path}/{{split}}/*/{year}/i.png" for year in (2018, 2020))
    found = match_patterns(before, after, f"{tmp_path}/{{split}}/*/m.png")
    assert {split: sorted(pair.name for pair in listing.pairs) for split, listing in found.items()} == {
        split: ["oslo", "rome"] for split in ("train", "val", "test")
    }


def test_patterns_that_cannot_be_matched_say_what_differs(tmp_path):
    write_named(tmp_path)
    x, y = f"{tmp_path}/x", f"{tmp_path}/y"
    with pytest.raises(InputError, match=r"no pair: \* is a_pr, b_pr, c_pr in --before, and a_pos, b_pos, c_pos in --after"):
        match_patterns(f"{x}/*e.png", f"{x}/*t.png", f"{y}/*.png")
    with pytest.raises(InputError, match=r"no mask: \* is a, b, c in --before, and a_pr, b_pr, c_pr in --mask"):
        match_patterns(f"{x}/*_pre.png", f"{x}/*_post.png", f"{x}/*e.png")
    with pytest.raises(InputError, match=r"--before .*/z/\*\.png: matches no file"):
        match_patterns(f"{tmp_path}/z/*.png", f"{x}/*_post.png", f"{y}/*.png")
    with pytest.raises(ConfigError, match="has no \\*"):
        match_patterns(f"{x}/a_pre.png", f"{x}/*_post.png", f"{y}/*.png")
    with pytest.raises(ConfigError, match="must be in all of"):
        match_patterns(f"{x}/{{split}}/*.png", f"{x}/*_post.png", f"{y}/*.png")
    for wrong, expected in (
        ({}, "none of them is given"),
        ({"data": "x", "pairs": "y.csv"}, "several of them are given"),
        ({"before": "x/*", "after": "y/*"}, "missing: mask"),
    ):
        with pytest.raises(ConfigError, match=expected):
            DataCfg(**wrong)


def write_raster(path, pixels, scale=1.0, origin=(500_000.0, 5_000_000.0), crs="EPSG:32633"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    profile = {"driver": "GTiff", "count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2], "crs": crs}
    transform = rasterio.transform.from_origin(*origin, scale, scale)
    with rasterio.open(path, "w", dtype=pixels.dtype, transform=transform, **profile) as file:
        file.write(pixels)
    return transform


def write_placed(root, count=2):
    """Write GeoTIFF pairs side by side; return the transform of each."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        for date in "AB":
            pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            found.append(write_raster(root / date / f"t{index}.tif", pixels, origin=(500_000.0 + index * SIDE, 5_000_000.0)))
    return found[::2]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
def test_polygons_are_rasterized_by_pixel_centers(tmp_path, suffix):
    """One file for all pairs, in degrees, compared with a count of the centers in the polygons by shapely."""
    geopandas = pytest.importorskip("geopandas")
    transforms = write_placed(tmp_path)
    box = shapely.Polygon(
        [(500_003.2, 4_999_995.7), (500_020.4, 4_999_990.1), (500_045.6, 4_999_975.3), (500_001.1, 4_999_972.2)]
    )
    hole = shapely.Point(500_015, 4_999_982).buffer(3.3)
    shape = box.difference(hole)
    frame = geopandas.GeoDataFrame({"kind": [1]}, geometry=[shape], crs="EPSG:32633").to_crs("EPSG:4326")
    frame.to_file(tmp_path / f"changes{suffix}")
    cfg = DataCfg(before=f"{tmp_path}/A/*.tif", after=f"{tmp_path}/B/*.tif", mask=f"{tmp_path}/changes{suffix}")
    samples = open_data(cfg, ("all",)).splits["all"]
    for sample, transform in zip(samples, transforms, strict=True):
        rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
        x, y = transform.c + columns * transform.a, transform.f + rows * transform.e
        expected = shapely.contains_xy(shape, x, y)
        different = (sample.target["mask"].numpy() == 1) != expected
        assert expected.any() and different.sum() <= 2  # centers on an edge, which moved by degrees with nine decimals
    report = check_data(cfg, progress=False)
    assert not report.problems and "labels of 2 pair(s) are brought to the grid" in " ".join(report.notes)
    assert report.splits[0].changed == pytest.approx(np.mean([s.target["mask"].numpy() for s in samples]))


def test_attributes_of_polygons_are_values_or_classes(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    write_placed(tmp_path, 1)
    boxes = [shapely.box(500_000 + 8 * index, 4_999_980, 500_008 + 8 * index, 5_000_000) for index in range(3)]
    (tmp_path / "label").mkdir()
    file = tmp_path / "label" / "t0.gpkg"
    frame = geopandas.GeoDataFrame({"v": [0, 1, 255], "w": ["road", "House", "ignore"]}, geometry=boxes, crs="EPSG:32633")
    frame.to_file(file)
    cfg = {"data": str(tmp_path), "label_attribute": "v", "mask_encoding": "0/1/255"}
    found = open_data(DataCfg(**cfg), ("all",)).splits["all"][0].target["mask"].numpy()
    assert [np.unique(found[:20, 8 * column : 8 * column + 8]).tolist() for column in range(4)] == [[0], [1], [255], [0]]
    assert (found[20:] == 0).all()
    with pytest.raises(InputError, match="no attribute 'x'; they have fid, v, w"):
        open_data(DataCfg(**{**cfg, "label_attribute": "x"}), ("all",))
    with pytest.raises(InputError, match="the attribute 'w' has the value 'road'; expected integers"):
        open_data(DataCfg(**{**cfg, "label_attribute": "w"}), ("all",))
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps({"classes": {"road": 3, "house": 7, "ignore": 9}}))
    with pytest.raises(InputError, match="--label-attribute NAME"):
        open_data(DataCfg(str(tmp_path)), ("all",))
    found = open_data(DataCfg(str(tmp_path), label_attribute="w"), ("all",)).splits["all"][0].target["mask"].numpy()
    assert [np.unique(found[:20, 8 * column : 8 * column + 8]).tolist() for column in range(4)] == [[1], [2], [255], [0]]


def test_labels_of_another_resolution_are_read_by_nearest_neighbor(tmp_path):
    """A label of 2.5 m that covers a part of the image; pixels outside have no label."""
    write_placed(tmp_path, 1)
    labels = np.random.default_rng(1).integers(0, 2, (10, 9), dtype=np.uint8) * 255
    write_raster(tmp_path / "label" / "t0.tif", labels, 2.5, (500_004.0, 4_999_998.0))
    found = open_data(DataCfg(str(tmp_path)), ("all",)).splits["all"]
    target = found[0].target["mask"].numpy()
    for row in range(SIDE):
        for column in range(SIDE):
            i, j = int((row + 0.5 - 2) // 2.5), int((column + 0.5 - 4) // 2.5)
            expected = labels[i, j] // 255 if 0 <= i < 10 and 0 <= j < 9 else 255
            assert target[row, column] == expected
    assert found.unlabeled == pytest.approx((target == 255).mean())
    write_raster(tmp_path / "label" / "t0.tif", labels, 2.5, (600_000.0, 4_999_998.0))
    with pytest.raises(InputError, match="does not overlap"):
        open_data(DataCfg(str(tmp_path)), ("all",))
    write_raster(tmp_path / "label" / "t0.tif", np.zeros((SIDE, SIDE), np.uint8), 1, (500_003.0, 5_000_000.0))
    with pytest.raises(InputError, match=r"lies \+3.0 columns"):
        open_data(DataCfg(str(tmp_path)), ("all",))


def test_polygons_need_a_georeference(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    write_named(tmp_path, "a")
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)], crs="EPSG:4326").to_file(tmp_path / "c.gpkg")
    cfg = DataCfg(before=f"{tmp_path}/x/*_pre.png", after=f"{tmp_path}/x/*_post.png", mask=f"{tmp_path}/c.gpkg")
    with pytest.raises(InputError, match="has no georeference, so labels of another size and polygons"):
        open_data(cfg, ("all",))


def test_commands_take_tables_and_patterns(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_named(tmp_path, [f"p{index}" for index in range(6)])
    given = ["--before", "x/*_pre.png", "--after", "x/*_post.png", "--mask", "y/*.png"]
    assert main(["data", "check", *given]) == 0
    assert "all: 6 pairs" in capsys.readouterr().out
    rows = [f"x/p{i}_pre.png,x/p{i}_post.png,y/p{i}.png,{'train' if i < 4 else 'val' if i < 5 else 'test'}" for i in range(6)]
    table(tmp_path, "\n".join(["before,after,mask,split", *rows]))
    assert main(["data", "check", "--pairs", "pairs.csv"]) == 0
    assert "train: 4 pairs" in capsys.readouterr().out
    assert main(["data", "check", "--pairs", "pairs.csv", "--sheet", "pairs.csv"]) == 2
    assert main(["data", "check"]) == 2 and "none of them is given" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_trained_scored_and_reproduced_from_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_named(tmp_path, [f"p{index}" for index in range(4)])
    rows = [f"x/p{i}_pre.png,x/p{i}_post.png,y/p{i}.png,{('train', 'train', 'val', 'test')[i]}" for i in range(4)]
    table(tmp_path, "\n".join(["before,after,mask,split", *rows]))
    tiny = ["--model", "tinycd", "--out", "run", "steps=1", "batch_size=2", "crop=32", "device=cpu"]
    assert main(["train", "--pairs", "pairs.csv", *tiny]) == 0
    assert "eval --model run --pairs pairs.csv --split test" in capsys.readouterr().out
    assert main(["eval", "--model", "run", "--pairs", "pairs.csv", "--out", "s.json", "--device", "cpu"]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["data"]["pairs"] == "pairs.csv"
    assert main(["reproduce", "run", "--device", "cpu"]) == 0

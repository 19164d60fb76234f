"""Semi-supervised training on scenes: windows without a label, or outside the area whose labels are used."""

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")
geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")

from cdzoo.cli.main import main  # noqa: E402
from cdzoo.data.config import DataCfg  # noqa: E402
from cdzoo.data.open import open_data  # noqa: E402
from cdzoo.data.scene_samples import block_name  # noqa: E402
from cdzoo.errors import CdzooError  # noqa: E402

LEFT, TOP, SIDE, TILE = 500_000.0, 5_000_000.0, 384, 32
HALF = SIDE // 2
SPLITS = ("train", "val", "test")


def write(path, pixels, **profile):
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    size = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": pixels.shape[2], "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", transform=rasterio.transform.from_origin(LEFT, TOP, 1, 1), **size, **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return str(path)


def area(path, left, top, right, bottom):
    """Write a rectangle, given in pixels."""
    shape = shapely.box(LEFT + left, TOP - bottom, LEFT + right, TOP - top)
    geopandas.GeoDataFrame(geometry=[shape], crs=32633).to_file(path)
    return str(path)


@pytest.fixture
def given(tmp_path):
    """Write a scene with pixels without data, whose right half has no labels."""
    rng = np.random.default_rng(0)
    labels = (rng.random((SIDE, SIDE)) < 0.3).astype(np.uint8)
    labels[:, HALF:] = 255
    before, after = rng.integers(1, 255, (2, SIDE, SIDE, 3), dtype=np.uint8)
    before[::8, ::4] = 0
    paths = {
        "before": write(tmp_path / "a.tif", before, nodata=0),
        "after": write(tmp_path / "b.tif", after),
        "mask": write(tmp_path / "m.tif", labels),
    }
    return {**paths, "tile": TILE, "mask_encoding": "0/1/255", "holdout": 0.2}


def places(samples):
    return {(cell.window.y, cell.window.x) for _, cell in samples.cells}


def test_windows_without_a_label(given):
    """They are those of blocks that are not held out; labeled windows and their splits stay as they are."""
    labels = open_data(DataCfg(**given), SPLITS)
    opened = open_data(DataCfg(**given), (*SPLITS, "unlabeled"))
    unlabeled = opened.splits["unlabeled"]
    assert {split: opened.names[split] for split in SPLITS} == labels.names
    held_out = {block_name(cell) for split in ("val", "test") for _, cell in opened.splits[split].cells}
    right = {(y, x) for y in range(0, SIDE, TILE) for x in range(HALF, SIDE, TILE)}
    assert held_out and places(unlabeled) == right and not held_out & {*unlabeled.blocks}
    assert all(x < HALF for split in SPLITS for _, x in places(opened.splits[split]))
    sample, (_, cell) = unlabeled[3], unlabeled.cells[3]
    with rasterio.open(given["before"]) as file:
        pixels = file.read()[(slice(None), *cell.window.slices)]
    assert (sample.images[0].numpy() == pixels).all()
    assert np.array_equal(sample.target["mask"].numpy() == 255, ~pixels.any(0)) and sample.target["mask"].unique().numel() == 2
    assert any("unlabeled: 72 windows in training blocks, whose labels are not used" in note for note in opened.notes)
    assert any("72 window(s) have no label" in note for note in opened.notes)
    assert any("72 window(s) are left out: no pixel of them has a label" in note for note in labels.notes)
    assert len({*opened.hashes["unlabeled"]}) == 72 and not {*opened.hashes["unlabeled"]} & {*opened.hashes["train"]}


def test_labels_of_an_area(given, tmp_path):
    """Training learns no label outside of it, also not in crops around a window; validation and test are not affected."""
    every = open_data(DataCfg(**given), SPLITS)
    labeled = area(tmp_path / "labeled.gpkg", 0, 0, 80, SIDE)
    opened = open_data(DataCfg(**given, labeled=labeled), (*SPLITS, "unlabeled"))
    train, unlabeled = opened.splits["train"], opened.splits["unlabeled"]
    assert all(opened.names[split] == every.names[split] for split in ("val", "test"))
    bare = {place for place in places(unlabeled) if place[1] >= HALF}
    assert places(train) | (places(unlabeled) - bare) == places(every.splits["train"]) and len(bare) == 72
    assert {x for _, x in places(train)} == {0, 32, 64} and min(x for _, x in places(unlabeled) - bare) == 96
    count = 0
    for index, (_, cell) in enumerate(train.cells):
        target = train.surroundings(index).target["mask"].numpy()
        columns = cell.around.x + np.arange(cell.around.width)
        assert (target[:, columns >= 80] == 255).all()
        count += (columns >= 80).any()
        assert set(np.unique(target[:, columns < 80])) <= {0, 1, 255} and (target[:, columns < 80] != 255).mean() > 0.9
    assert count
    assert any(f"labeled: {len(train)} of {len(every.splits['train'])} training windows" in note for note in opened.notes)
    alone = open_data(DataCfg(**given, labeled=labeled), SPLITS)
    assert alone.names == {split: opened.names[split] for split in SPLITS}
    assert train.files[0][1][-1].name == "labeled.gpkg"  # another area is another training


def test_blocks_that_are_held_out_are_not_learned_from(given, tmp_path):
    """Also where only some of their windows have labels; with an area of interest, nothing outside of it."""
    with rasterio.open(given["mask"], "r+") as file:
        labels = file.read(1)
        labels[:, 160:] = 255  # the block from 128 to 191 has windows with and without labels
        labels[:, 128:160] = 0
        file.write(labels, 1)
    aoi = area(tmp_path / "aoi.gpkg", 0, 0, 300, SIDE)
    opened = open_data(DataCfg(**given, aoi=aoi), (*SPLITS, "unlabeled"))
    held_out = {block for split in ("val", "test") for block in opened.splits[split].blocks}
    unlabeled = opened.splits["unlabeled"]
    assert held_out and not held_out & {*unlabeled.blocks}
    assert {x for _, x in places(unlabeled)} == {160, 192, 224, 256, 288}
    for index, (_, cell) in enumerate(unlabeled.cells):
        target = unlabeled[index].target["mask"].numpy()
        assert (target[:, cell.window.x + np.arange(TILE) >= 300] == 255).all() and (target == 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labeled": "list.txt"}, "labeled=list.txt: of scenes, name the polygons of the area whose labels are used"),
        ({"unlabeled": "pairs"}, "unlabeled is a folder of pairs that are read whole"),
        ({"labeled": "none.gpkg"}, "none.gpkg: no such file"),
        ({"labeled": "right.gpkg"}, "right.gpkg: no labeled pixel of a training window lies in it"),
        ({"aoi": "left.gpkg"}, "all training windows have labels; .* --labeled AREA.gpkg"),
    ],
)
def test_what_is_refused(given, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    area("right.gpkg", HALF, 0, SIDE, SIDE), area("left.gpkg", 0, 0, HALF, SIDE)
    with pytest.raises(CdzooError, match=message):
        open_data(DataCfg(**given, **options), ("train", "val", "unlabeled"))


@pytest.mark.slow
def test_a_scene_with_few_labels_is_trained_on(given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    area("labeled.gpkg", 0, 0, 80, SIDE)
    names = [word for name in ("before", "after", "mask") for word in (f"--{name}", given[name])]
    names += ["--tile", "32", "--mask-encoding", "0/1/255", "--holdout", "0.2"]
    settings = ["epochs=1", "batch_size=4", "crop=32", "device=cpu"]
    words = ["train", "--model", "fc_siam_diff", *names, "--labeled", "labeled.gpkg", "--semi", "unimatch", "--out", "run"]
    assert main([*words, *settings]) == 0
    assert "whose labels are not used" in capsys.readouterr().out
    assert "unlabeled_loss" in (tmp_path / "run" / "log.csv").read_text().splitlines()[0]
    assert main(["eval", "--model", "run", *names, "--device", "cpu"]) == 0
    assert "0 were trained on without their masks" in capsys.readouterr().out

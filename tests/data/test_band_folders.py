"""Dates that are folders of single-band files of different resolutions, as training data."""

import csv

import numpy as np
import pytest
import rasterio
from PIL import Image

import cdzoo
from cdzoo.cli.main import main
from cdzoo.data.check import check_data, list_data
from cdzoo.data.config import DataCfg
from cdzoo.data.open import open_data
from cdzoo.data.value_ranges import describe_ranges
from cdzoo.errors import InputError
from cdzoo.io.images import image_format, read_image_and_valid

SIDE = 36
STEPS = {"B02": 10, "B04": 10, "B8A": 20, "B09": 60}
LEFT, TOP = 500_000.0, 5_000_000.0


def ramp(step, left, top, side):
    """Return a band whose numbers are linear in the coordinates of its pixels, so that interpolation keeps them."""
    x, y = (np.arange(side) + 0.5) * step, (np.arange(side) + 0.5) * step
    return (1000 + (x[None] + left - LEFT) * 2 + (y[:, None] + TOP - top)).round().astype(np.uint16)


def write_date(folder, left=LEFT, top=TOP, offset=0, steps=STEPS, crs="EPSG:32633"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, step in steps.items():
        # Coarse bands begin between two fine pixels, as those of cut scenes do.
        x = left + (6 if step == 60 else 0)
        pixels = ramp(step, x, top, SIDE * 10 // step) + np.uint16(offset)
        profile = {"driver": "GTiff", "height": len(pixels), "width": len(pixels), "count": 1, "dtype": "uint16", "crs": crs}
        with rasterio.open(folder / f"{name}.tif", "w", transform=rasterio.Affine(step, 0, x, 0, -step, top), **profile) as file:
            file.write(pixels, 1)


@pytest.fixture
def cities(tmp_path):
    """Write two cities; the second date of the second one is on another grid, 13 m to the right and 24 m lower."""
    for number, (city, move) in enumerate((("rome", (0, 0)), ("saclay", (13, 24)))):
        write_date(tmp_path / city / "imgs_1", offset=100 * number)
        write_date(tmp_path / city / "imgs_2", LEFT + move[0], TOP - move[1], 500 + 100 * number)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[8 : 20 + number, 8:20] = 255
        Image.fromarray(mask).save(tmp_path / city / "cm.png")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*resampled to the grid of the first one")
def test_bands_are_brought_to_one_grid_and_masks_are_kept_to_the_pixel(cities):
    cfg = DataCfg(str(cities), value_range=(0.0, 1.0))
    rome, saclay = open_data(cfg, ("all",), (4, 4)).splits["all"]
    x, y = np.meshgrid((np.arange(SIDE) + 0.5) * 10, (np.arange(SIDE) + 0.5) * 10)
    expected = 1000 + 2 * x + y
    for number, sample in enumerate((rome, saclay)):
        stored = np.asarray(Image.open(cities / sample.name / "cm.png"))
        target = sample.target["mask"].numpy()
        known = target != 255
        covered = np.ones((SIDE, SIDE), bool)
        covered[:, 0] = False  # the center of the first column is left of the band of 60 m
        if number:
            covered[:, :2] = covered[:2] = False
        assert np.array_equal(known, covered) and np.array_equal(target[known] == 1, stored[known] == 255)
        inner = (slice(6, -6), slice(6, -6))  # at its borders, a coarse band is continued
        for date, image in enumerate(sample.images):
            assert image.shape == (4, SIDE, SIDE)
            assert np.abs(image.numpy() - expected - 500 * date - 100 * number)[(slice(None), *inner)].max() <= 1


def test_bands_are_chosen_by_name_or_number(cities):
    folder = cities / "rome" / "imgs_1"
    assert image_format(folder) == (SIDE, SIDE, 4, "uint16")
    order = ["B02", "B04", "B8A", "B09"]
    every = read_image_and_valid(folder, 4, (0, 1))[0]
    for names in (("B8A", "b2"), ("B04 B8A",), (4, "B04")):
        chosen = [order.index(name) for text in names for name in _names(text, order)]
        found = read_image_and_valid(folder, 2, (0, 1), names)[0]
        assert np.array_equal(found[:, 1:], every[:, 1:, chosen])
    with pytest.raises(InputError, match=r"imgs_1: no band has the name B12 \(names in the file: B02, B04, B8A, B09\)"):
        read_image_and_valid(folder, 1, (0, 1), ("B12",))


def _names(text, order):
    return [order[text - 1]] if isinstance(text, int) else [word.upper().replace("B2", "B02") for word in text.split()]


def test_the_check_names_the_resampled_date_and_what_does_not_fit(cities):
    report = check_data(str(cities), progress=False)
    assert not report.problems and report.splits[0].described_formats == "4 with 4 band(s) uint16"
    assert any("in 1 pair(s), the bands of the second date are resampled" in note and "saclay" in note for note in report.notes)
    write_date(cities / "rome" / "imgs_2", LEFT + 9000)
    (problem,) = check_data(str(cities), progress=False).problems
    assert "imgs_2/B02.tif: does not overlap the first image" in problem
    with pytest.raises(InputError, match=r"imgs_2: does not overlap the first image"):
        open_data(DataCfg(str(cities), value_range=(0.0, 1.0)), ("all",), (4, 4))


def test_lists_name_the_cities_of_a_split(cities):
    write_date(cities / "oslo" / "imgs_1", offset=77)
    write_date(cities / "oslo" / "imgs_2", offset=78)
    (cities / "train.txt").write_text("rome,saclay\n")
    (cities / "test.txt").write_text("oslo\n")
    (cities / "oslo" / "cm.png").write_bytes((cities / "rome" / "cm.png").read_bytes())
    found = list_data(str(cities))
    names = {split: [pair.name for pair in listing.pairs] for split, listing in found.items()}
    assert names == {"train": ["rome", "saclay"], "test": ["oslo"]} and not any(one.problems for one in found.values())
    (cities / "test.txt").write_text("oslo, bergen\n")
    assert list_data(str(cities))["test"].problems == [f"bergen: listed, but there is no such pair in {cities}"]


@pytest.mark.filterwarnings("ignore")
def test_tables_and_patterns_name_folders_of_bands(cities, monkeypatch):
    monkeypatch.chdir(cities)
    with open("pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [("before", "after", "mask", "split")]
            + [(f"{n}/imgs_1", f"{n}/imgs_2", f"{n}/cm.png", s) for n, s in (("rome", "train"), ("saclay", "val"))]
        )
    opened = open_data(DataCfg(pairs="pairs.csv", bands=("B02", "B8A"), value_range=(0.0, 1.0)), ("train", "val"), (2, 2))
    named = DataCfg(before="*/imgs_1", after="*/imgs_2", mask="*/cm.png", bands=("B02", "B8A"), value_range=(0.0, 1.0))
    matched = {sample.name: sample for sample in open_data(named, ("all",), (2, 2)).splits["all"]}
    for split, city in (("train", "rome"), ("val", "saclay")):
        (sample,) = opened.splits[split]
        assert all((one == other).all() for one, other in zip(sample.images, matched[city].images, strict=True))
        assert (sample.target["mask"] == matched[city].target["mask"]).all()


@pytest.mark.filterwarnings("ignore:.*resampled to the grid of the first one")
def test_ranges_are_told_from_the_pairs_or_those_of_the_training(cities):
    opened = open_data(DataCfg(str(cities)), ("all",), (4, 4))
    assert opened.cfg.value_range in ((0, 3000), (1000, 4000)) and opened.cfg.value_range_after is None
    low, high = opened.cfg.value_range
    (note,) = [note for note in opened.notes if "read as" in note]
    assert note.startswith(f"{cities}: uint16, read as reflectance x 10,000, from {low:g} to {high:g}")
    told = open_data(DataCfg(str(cities), value_range=(low, high)), ("all",), (4, 4))
    assert (opened.splits["all"][0].images[1] == told.splits["all"][0].images[1]).all() and len(told.notes) == len(
        opened.notes
    ) - 1
    trained = {"value_range": [500, 2500], "bands": ["B8A", "B04"], "percentiles": None}
    again = open_data(DataCfg(str(cities)), ("all",), (2, 2), trained)
    assert again.cfg.value_range == (500, 2500) and again.cfg.bands == ("B8A", "B04")
    assert any("as in the training of the weights, --value-range 500 2500" in note for note in again.notes)
    pairs = opened.splits["all"].pairs
    assert describe_ranges(pairs, "split 'all'") == [f"split 'all': {note.partition(': ')[2]}"]
    for file in cities.rglob("B*.tif"):  # neither a name of Sentinel-2 nor bright
        file.rename(file.with_name(f"{'abcd'[sorted(STEPS).index(file.stem)]}_B{sorted(STEPS).index(file.stem) + 1}.tif"))
    with pytest.raises(InputError, match=r"uint16 values from .* for example --value-range"):
        open_data(DataCfg(str(cities)), ("all",), (4, 4)).splits["all"][0]
    assert describe_ranges(pairs, "x") == [
        "x: what the numbers of the first and second date mean is not told; training requires --value-range"
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_training_takes_its_bands_from_the_data(cities):
    words = ["--bands", "B02", "B8A", "--value-range", "0", "4000", "--out", str(cities / "run"), "--device", "cpu", "epochs=1"]
    assert main(["train", "--model", "fc_siam_diff", "--data", str(cities), *words]) == 0
    assert cdzoo.create_model(f"local-dir:{cities / 'run'}").config.in_chans == 2

"""Palettes: strict values and colors, and ignored pixels in crops and tiles."""

import random

import numpy as np
import pytest
import torch
from made_data import write_xbd
from PIL import Image

from cdzoo.data.augment import PairAugment
from cdzoo.data.labels import Grades, LandCover
from cdzoo.data.open import DataCfg, open_data
from cdzoo.data.palette import Palette, class_palette
from cdzoo.data.sample import Sample
from cdzoo.data.tiles import crop_sample
from cdzoo.errors import ConfigError, InputError
from cdzoo.tasks import get_task
from cdzoo.tiling import Window

PALETTE = class_palette("the set", ((255, 255, 255), (0, 0, 255), (9, 9, 9)), (0, 1, 2), ((0, 0, 0), 255), "Convert it")
CLASSES = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)


def write(path, pixels, **options):
    image = Image.fromarray(pixels)
    image.save(path, **options)
    return path


def test_values_and_colors_give_the_same_classes(tmp_path):
    colors = np.array([(255, 255, 255), (0, 0, 255), (9, 9, 9)] + [(0, 0, 0)] * 253, np.uint8)
    table = Image.fromarray(CLASSES)
    table.putpalette(colors.reshape(-1).tolist())
    table.save(tmp_path / "table.png")
    opaque = np.dstack([colors[CLASSES], np.full_like(CLASSES, 255)])
    files = [
        write(tmp_path / "values.png", CLASSES),
        write(tmp_path / "values.tif", CLASSES.astype(np.int32)),
        write(tmp_path / "colors.png", colors[CLASSES]),
        write(tmp_path / "opaque.png", opaque),
        tmp_path / "table.png",
    ]
    for file in files:
        assert np.array_equal(PALETTE.read(file), CLASSES)
    only_colors = class_palette("the set", ((255, 255, 255), (0, 0, 255), (9, 9, 9)), unlabeled=((0, 0, 0),))
    assert np.array_equal(only_colors.read(tmp_path / "table.png"), CLASSES)
    only_values = class_palette("the set", (), (0, 1, 2), (255,))
    repeated = write(tmp_path / "repeated.png", np.dstack([CLASSES] * 3))
    assert np.array_equal(only_values.read(repeated), CLASSES)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (
            np.array([[0, 1], [7, 7]], np.uint8),
            r"row 1, column 0 has the value 7.*\(2 such pixels\); defined: 0, 1, 2, 255\. Convert it",
        ),
        (np.full((2, 2), 300, np.int32), r"row 0, column 0 has the value 300, which the set does not define"),
        (np.full((2, 2), -1, np.int32), "has the value -1"),
        (
            np.full((2, 2, 3), 1, np.uint8),
            r"row 0, column 0 has the color \(1, 1, 1\).*defined: \(255, 255, 255\), \(0, 0, 255\)",
        ),
        (np.zeros((2, 2), np.float32), "float32 values; expected labels"),
        (np.zeros((2, 2, 4), np.uint8), "partly transparent"),
    ],
)
def test_undeclared_values_and_colors_name_the_pixel(tmp_path, pixels, message):
    path = write(tmp_path / f"x.{'png' if pixels.dtype == np.uint8 else 'tif'}", pixels)
    with pytest.raises(InputError, match=rf"x\.(png|tif): .*{message}"):
        PALETTE.read(path)


def test_palettes_themselves_are_checked():
    for values in ({0: 254}, {256: 0}, {-1: 0}):
        with pytest.raises(ConfigError, match="values, colors and classes must be from 0 to 255"):
            Palette("mine", values)


def test_land_cover_keeps_what_is_known_and_ignores_what_is_needed():
    labels = LandCover(("a", "b"), PALETTE)
    t1, t2 = np.array([[0, 1, 1, 255]], np.uint8), np.array([[0, 2, 0, 1]], np.uint8)
    assert {name: values.tolist() for name, values in labels.targets({"t1": t1, "t2": t2}).items()} == {
        "mask": [[0, 1, 1, 255]],
        "semantic_t1": [[0, 1, 1, 255]],
        "semantic_t2": [[0, 2, 255, 1]],
    }
    assert labels.disagreements({"t1": t1, "t2": t2}) == {"changed, with a class at one date only": 1}
    mask = np.array([[1, 1, 0, 255]], np.uint8)
    masked = labels.targets({"t1": t1, "t2": t2, "change": mask})
    assert masked["mask"].tolist() == [[1, 1, 0, 255]] and masked["semantic_t1"].tolist() == [[255, 1, 1, 255]]
    assert labels.disagreements({"t1": t1, "t2": t2, "change": mask}) == {
        "changed in the mask, without a class at both dates": 1,
        "unchanged in the mask, with a class": 1,
    }


def test_grades_find_buildings_that_contradict_them():
    maps = {"damage": np.array([[0, 1, 2, 255]], np.uint8), "building": np.array([[1, 1, 0, 1]], np.uint8)}
    assert set(Grades(("a", "b"), PALETTE).disagreements(maps).values()) == {1}
    alone = Grades(("a", "b"), PALETTE).targets({"damage": maps["damage"]})
    assert alone["building"].tolist() == [[0, 1, 1, 255]]


def test_ignored_pixels_stay_where_they_are_in_crops_and_tiles(tmp_path):
    write_xbd(tmp_path)
    samples = open_data(DataCfg("xbd", root=str(tmp_path)), ("train",)).splits["train"]
    sample = samples[0]
    tile = crop_sample(sample, Window(0, 0, 32, 48))
    assert tile.target["damage"][0, 0] == 255 and tile.target["building"].shape == (32, 48)
    for seed in range(8):
        drawn = PairAugment(96, scale=(0.7, 1.4))(sample, random.Random(seed))
        assert set(torch.unique(drawn.target["damage"]).tolist()) <= {0, 1, 2, 3, 4, 255}
        inside = drawn.target["damage"] != 255
        assert torch.equal(drawn.target["building"].bool()[inside], (drawn.target["damage"] > 0)[inside])


def test_dates_are_swapped_as_the_task_defines():
    images = torch.zeros(3, 32, 32, dtype=torch.uint8), torch.ones(3, 32, 32, dtype=torch.uint8)
    target = {name: torch.full((32, 32), value) for name, value in (("mask", 1), ("semantic_t1", 1), ("semantic_t2", 2))}
    rule = get_task("semantic", ("a", "b")).swap_dates
    drawn = PairAugment(32, swap_dates=1.0, swap_targets=rule)(Sample(images, target, "x"), random.Random(0))
    assert drawn.images[0].min() == 1 and (drawn.target["semantic_t1"] == 2).all() and (drawn.target["semantic_t2"] == 1).all()

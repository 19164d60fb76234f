"""Named data sets with classes: class orders, palettes and layouts, on small copies."""

import shutil

import numpy as np
import pytest
import torch
from made_data import (
    SIDE,
    WRITERS,
    land_cover,
    save,
    values,
    write_bright,
    write_hi_ucd,
    write_hrscd,
    write_landsat_scd,
    write_second,
    write_xbd,
)
from PIL import Image

from cdzoo.cli.main import main
from cdzoo.data.check import check_data
from cdzoo.data.datasets import dataset_info, second
from cdzoo.data.open import DataCfg, data_classes, open_data
from cdzoo.errors import ConfigError, InputError


def opened(name, root, split="train", bands=(3, 3), **options):
    """Open one split of a small copy, without held-out pairs."""
    return open_data(DataCfg(name, root=str(root), **options), (split,), bands).splits[split]


@pytest.mark.parametrize(
    ("form", "order", "declared"),
    [
        ("original", "A", None),
        ("original", "A", "A"),
        ("original", "B", "B"),
        ("scannet", "A", None),  # the colors beside the numbers are read
        ("scannet", "A", "A"),
        ("changemamba", "B", "B"),
        ("opencd", "A", "A"),
    ],
)
def test_every_layout_of_second_gives_the_same_classes(tmp_path, form, order, declared):
    write_second(tmp_path, form, order, ("test",))
    rng = np.random.default_rng(0)
    t1, t2, mask = land_cover(rng, 6)
    sample = opened("second", tmp_path, "test", class_order=declared)[0]
    assert data_classes(DataCfg("second", class_order=declared)).class_names == second.ORDERS[order][1]
    for name, expected in (("mask", mask), ("semantic_t1", t1), ("semantic_t2", t2)):
        assert sample.target[name].dtype == torch.int64 and np.array_equal(sample.target[name].numpy(), expected)


@pytest.mark.parametrize(
    ("form", "order", "declared", "message"),
    [
        (
            "changemamba",
            "B",
            None,
            r"GT_T1/test_0\.png: has one band of values, but SECOND without a declared.* --class-order A or",
        ),
        ("original", "B", None, r"label1/test_0\.png: the pixel at row \d+, column \d+ has the color \(0, 0, 0\).*black in B"),
        ("original", "B", "A", r"has the color \(0, 0, 0\), which SECOND in class order A does not define"),
        ("original", "A", "B", r"has the color \(255, 255, 255\), which SECOND in class order B does not define"),
    ],
)
def test_class_orders_of_second_are_never_guessed(tmp_path, form, order, declared, message):
    write_second(tmp_path, form, order, ("test",))
    with pytest.raises(InputError, match=message):
        opened("second", tmp_path, "test", class_order=declared)


def test_a_color_table_that_contradicts_the_class_order_raises(tmp_path):
    write_second(tmp_path, "changemamba", "B", ("test",))
    path = tmp_path / "test" / "GT_T1" / "test_0.png"
    numbers = Image.open(path)
    unchanged, names = second.ORDERS["B"]
    numbers.putpalette([level for color in (unchanged, *(second.COLORS[name] for name in names)) for level in color])
    numbers.save(path)
    assert values(opened("second", tmp_path, "test", class_order="B")[0])["mask"] == [0, 1]
    with pytest.raises(
        InputError, match=r"has the value 1 with the color \(0, 128, 0\).*the value is class 1 and the color is class 3"
    ):
        opened("second", tmp_path, "test", class_order="A")


def test_unknown_orders_and_options_of_other_data_raise(tmp_path, pair_folder):
    with pytest.raises(ConfigError, match="SECOND has no class order 'C'; it has A, B"):
        data_classes(DataCfg("second", class_order="C"))
    with pytest.raises(ConfigError, match="Landsat-SCD has no class order 'A'; its classes have one order"):
        data_classes(DataCfg("landsat_scd", class_order="A"))
    with pytest.raises(ConfigError, match="class_order is for named data sets"):
        data_classes(DataCfg(str(pair_folder(1)), class_order="A"))
    with pytest.raises(ConfigError, match="mask_encoding is for masks of change"):
        data_classes(DataCfg("second", mask_encoding="0/1"))


def test_a_copy_without_splits_is_carved_and_a_missing_label_is_named(tmp_path):
    write_second(tmp_path, "original", splits=("train",), count=12)
    whole = open_data(DataCfg("second", root=str(tmp_path / "train")), ("train", "val"))
    assert len(whole.splits["train"]) + len(whole.splits["val"]) == 11 and "has no splits" in whole.notes[0]
    (tmp_path / "train" / "label2" / "train_3.png").unlink()
    with pytest.raises(InputError, match=r"label2/train_3\.\*: missing, but there is .*label1/train_3\.png"):
        opened("second", tmp_path)
    report = check_data(DataCfg("second", root=str(tmp_path / "train")), progress=False)
    assert any("label2/train_3.*: missing" in problem for problem in report.problems)


@pytest.mark.parametrize("form", ["transitions", "maps", "colors"])
def test_landsat_scd_gives_two_maps_without_copies_and_white_pixels(tmp_path, form):
    write_landsat_scd(tmp_path, form, (*"0123456789", "0_rotate90", "1_ZheDang"))
    with pytest.warns(UserWarning, match="2 augmented copies of other pairs are left out: 0_rotate90, 1_ZheDang"):
        splits = {split: opened("landsat_scd", tmp_path, split) for split in ("train", "val", "test")}
        scaled = opened("landsat_scd", tmp_path, value_range=(0, 500))[0]
    assert sum(map(len, splits.values())) == 10
    sample = next(samples[samples.names.index("0")] for samples in splits.values() if "0" in samples.names)
    transitions = np.kron(np.random.default_rng(0).integers(0, 10, (8, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
    first = np.array([0, 1, 1, 2, 2, 2, 3, 3, 4, 4])[transitions]
    first[-8:, -8:] = 255
    assert np.array_equal(sample.target["semantic_t1"].numpy(), first)
    assert (sample.target["mask"][-8:, -8:] == 255).all() and values(sample)["mask"] == [0, 1, 255]
    assert (scaled.target["mask"][-8:, -8:] == 255).all() and (scaled.target["mask"] != 255).any()


def test_landsat_scd_refuses_the_colors_of_other_copies(tmp_path):
    write_landsat_scd(tmp_path, "colors")
    Image.new("RGB", (SIDE, SIDE), (130, 87, 87)).save(tmp_path / "labelA_rgb" / "3.png")
    with pytest.raises(
        InputError, match=r"labelA_rgb/3\.png: the pixel at row 0, column 0 has the color \(130, 87, 87\), which Landsat"
    ):
        [opened("landsat_scd", tmp_path, split) for split in ("train", "val", "test")]


def test_hrscd_matches_files_of_different_names_and_has_land_cover_everywhere(tmp_path):
    write_hrscd(tmp_path)
    sample = opened("hrscd", tmp_path)[0]
    assert sample.name.startswith(("14_04", "35_04")) and sample.name.endswith("x6890")
    found = values(sample)
    assert found["mask"] == [0, 1] and found["semantic_t2"] == [1, 2, 3, 4, 5]
    assert set(found["semantic_t1"]) == {1, 2, 3, 4, 5, 255}, "changed, without information"
    next((tmp_path / "images_2012" / "2012" / "D35").iterdir()).unlink()
    with pytest.raises(InputError, match=r"images_2012/2012/D35/35_0\d+x6890\.\*: missing"):
        opened("hrscd", tmp_path)


@pytest.mark.parametrize("mini", [True, False])
def test_hi_ucd_reads_three_bands_and_leaves_unlabeled_pixels_out(tmp_path, mini):
    write_hi_ucd(tmp_path, mini)
    name = "hi_ucd_mini" if mini else "hi_ucd"
    sample = opened(name, tmp_path, "val")[0]
    assert sample.name == ("2017_2018_9_val0" if mini else "2018_2019_val0")
    assert (sample.target["mask"][-8:] == 255).all() and values(sample)["mask"] == [0, 1, 255]
    assert set(values(sample)["semantic_t2"]) <= {*range(1, 10), 255}
    path = next(tmp_path.glob("val/mask*/*/9/val0.png" if mini else "val/mask/*/val0.png"))
    label = np.array(Image.open(path))
    label[5, 7, 2] = 3
    save(label, path)
    with pytest.raises(InputError, match=r"row 5, column 7 of band 3 \(change\) has the value 3, which Hi-UCD \(0 unlabeled"):
        opened(name, tmp_path, "val")


@pytest.mark.parametrize("form", ["targets", "masks"])
def test_xbd_gives_buildings_and_grades(tmp_path, form):
    write_xbd(tmp_path, form)
    parts = open_data(DataCfg("xbd", root=str(tmp_path)), ("train", "val")).splits
    assert (len(parts["train"]), len(parts["val"])) == ((3, 3) if form == "targets" else (2, 1))
    whole = open_data(DataCfg("xbd", root=str(tmp_path / "train")), ("all",))
    assert len(whole.splits["all"]) == 3 and "has no splits" in whole.notes[0]
    sample = parts["train"][0]
    assert sample.name.startswith("train-fire_0000000") and values(sample)["building"] == [0, 1]
    assert values(sample)["damage"] == [0, 1, 2, 3, 4, 255]
    for path in (tmp_path / "train" / form).glob("*post_disaster*"):
        Image.new("L", (SIDE, SIDE), 5).save(path)
    with pytest.raises(
        InputError, match=r"has the value 5, which xBD does not define \(4096 such pixels\); defined: 0, 1, 2, 3, 4, 255"
    ):
        opened("xbd", tmp_path)


def test_bright_has_one_radar_band_and_splits_by_event(tmp_path):
    write_bright(tmp_path)
    bands = dataset_info("bright").bands
    sample = opened("bright", tmp_path, bands=bands)[0]
    assert [tuple(image.shape) for image in sample.images] == [(3, SIDE, SIDE), (1, SIDE, SIDE)]
    assert values(sample) == {"building": [0, 1], "damage": [0, 1, 2, 3]}
    unseen = {
        split: opened("bright", tmp_path, split, bands, test_event="noto-earthquake").names for split in ("train", "val", "test")
    }
    assert [len(names) for names in unseen.values()] == [3, 1, 4]
    assert all(("noto" in name) == (split == "test") for split, names in unseen.items() for name in names)
    with pytest.raises(ConfigError, match=r"unknown event 'noto-earthquakes'\. Did you mean 'noto-earthquake'"):
        opened("bright", tmp_path, bands=bands, test_event="noto-earthquakes")
    with pytest.raises(ConfigError, match="has no splits by event"):
        write_xbd(tmp_path / "xbd")
        opened("xbd", tmp_path / "xbd", test_event="noto")


def test_bright_leaves_out_the_optical_images_that_the_download_lacks(tmp_path):
    write_bright(tmp_path, ("bata-explosion", "ukraine-conflict"))
    with pytest.warns(UserWarning, match="2 pairs of ukraine-conflict are incomplete and left out"):
        assert len(opened("bright", tmp_path, bands=(3, 1))) == 2
    (tmp_path / "post-event" / "bata-explosion_00000001_post_disaster.tif").unlink()
    with pytest.raises(InputError, match="1 listed pairs are incomplete: bata-explosion_00000001"), pytest.warns(UserWarning):
        opened("bright", tmp_path, bands=(3, 1))


def test_check_counts_classes_and_finds_contradictions(tmp_path, capsys):
    write_second(tmp_path, "opencd", "A")
    path = tmp_path / "train" / "label1" / "train_1.png"
    classes = np.array(Image.open(path))
    classes[:8, :8] = 0  # changed
    save(classes, path)
    report = check_data(DataCfg("second", root=str(tmp_path), class_order="A"), progress=False)
    assert report.problems == [
        "split 'train': 64 pixel(s) of 1 pair(s) are changed in the mask, without a class at both dates, such as in train_1"
    ]
    shares = report.splits[0].classes
    assert sum(shares["semantic_t1"].values()) == pytest.approx(1) and shares["semantic_t1"]["water"] > 0
    assert shares["semantic_t1"]["ignored"] == pytest.approx(64 / 2 / SIDE**2) and report.sheet is not None
    classes[40, 50] = 9
    save(classes, path)
    sheet = str(tmp_path / "sheet.png")
    assert main(["data", "check", "second", "--root", str(tmp_path), "--class-order", "A", "--sheet", sheet]) == 1
    printed = capsys.readouterr().out
    assert "train_1.png: the pixel at row 40, column 50 has the value 9" in printed and "semantic_t1 no class" in printed
    assert main(["data", "info", "second", "--root", str(tmp_path)]) == 1
    assert "A: water, ground" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["hi_ucd_mini", "second", "xbd", "landsat_scd"])
def test_tiles_on_disk_have_the_same_targets(tmp_path, monkeypatch, name):
    WRITERS[name](tmp_path / name)
    monkeypatch.setenv("CDZOO_DATA", str(tmp_path))
    order = "A" if name == "second" else None
    arguments = ["--out", str(tmp_path / "tiles"), "--tile", "32", *(["--class-order", order] if order else [])]
    assert main(["data", "prepare", name, *arguments]) == 0
    shutil.rmtree(tmp_path / name / "tiles", ignore_errors=True)
    split = "train"
    tiles, whole = (open_data(cfg, (split,)).splits[split] for cfg in (DataCfg(str(tmp_path / "tiles")), DataCfg(name)))
    assert data_classes(DataCfg(str(tmp_path / "tiles"))).class_names == dataset_info(name).class_names
    whole = getattr(whole, "whole", whole)
    by_name = dict(zip(tiles.names, range(len(tiles)), strict=True))
    for index, image_name in enumerate(whole.names):
        sample = whole[index]
        corner = tiles[by_name[f"{image_name}_0032_0032"]]
        assert all(map(torch.equal, corner.images, (image[:, 32:, 32:] for image in sample.images)))
        assert {key: target.tolist() for key, target in corner.target.items()} == {
            key: target[32:, 32:].tolist() for key, target in sample.target.items()
        }

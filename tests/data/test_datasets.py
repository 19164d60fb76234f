"""Named data sets: metadata, imitations on disk, verification, opening under a protocol."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from made_data import WRITERS
from PIL import Image

import cdzoo.data.datasets
from cdzoo.cli.main import main
from cdzoo.data.datasets import DATASETS, dataset_info, list_datasets
from cdzoo.data.info import DatasetInfo
from cdzoo.data.open import DataCfg, open_data
from cdzoo.data.protocols import get_protocol, list_protocols
from cdzoo.data.source import FileSource
from cdzoo.data.splits import random_split
from cdzoo.errors import InputError, UnknownNameError
from cdzoo.protocol import Protocol


def write_pair(folder, layout, name, rng, side=64, suffix=".png"):
    for kind in layout:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    mask = np.zeros((side, side), np.uint8)
    mask[8:30, 10:40] = 255
    for kind in layout[:2]:
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / kind / f"{name}{suffix}")
    Image.fromarray(mask).save(folder / layout[2] / f"{name}{suffix}")


def imitate(info, root):
    """Write a tiny data set with the layout of a named one."""
    if info.name in WRITERS:
        WRITERS[info.name](root)
        return
    rng = np.random.default_rng(0)
    if info.name == "oscd":
        for split, cities in (("train", ("rome", "paris")), ("test", ("lima",))):
            images = root / "Onera Satellite Change Detection dataset - Images"
            labels = root / f"Onera Satellite Change Detection dataset - {split.title()} Labels"
            images.mkdir(parents=True, exist_ok=True)
            (images / f"{split}.txt").write_text(",".join(cities) + "\n")
            for city in cities:
                write_pair(root / "tmp", ("A", "B", "label"), city, rng)
                for place, name, kind in ((images, "pair/img1", "A"), (images, "pair/img2", "B"), (labels, "cm/cm", "label")):
                    target = place / city / f"{name}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(root / "tmp" / kind / f"{city}.png", target)
        return
    layout = info.folders or (("time1", "time2", "label") if "time1/" in info.layout else ("A", "B", "label"))
    assert all(f"{kind}/" in info.layout for kind in layout)
    if info.split_at_random:
        for index in range(40):
            write_pair(root, layout, f"area{index}", rng)
        return
    imitate_folders(root, layout, info.splits, ".tif" if "TIFF" in info.layout else ".png")


def imitate_folders(root, layout, splits, suffix=".png"):
    rng = np.random.default_rng(0)
    for split in splits:
        for index in range(2):
            write_pair(root / split, layout, f"{split}_{index}", rng, suffix=suffix)


@pytest.fixture(params=[name for name, info in DATASETS.items() if info.generate is None])
def placed(request, tmp_path, monkeypatch):
    info = dataset_info(request.param)
    monkeypatch.setenv("CDZOO_DATA", str(tmp_path))
    imitate(info, tmp_path / info.name)
    return info, tmp_path / info.name


def test_notes_of_named_data_sets_name_no_folder_of_the_machine(placed):
    info, root = placed
    assert FileSource(DataCfg(info.name)).origin("train") == f"$CDZOO_DATA/{info.name}"
    assert FileSource(DataCfg(info.name, root=str(root))).origin("train") == str(root)


def test_small_copies_are_read_and_reported_as_incomplete(placed):
    info, root = placed
    splits = info.splits or {"train": 0, "val": 0, "test": 0}
    for split in splits:
        pairs = info.pairs(root, split)
        assert pairs and all(path.is_file() for pair in pairs for path in (*pair.images, *pair.labels))
    problems = info.verify(root)
    if info.name == "gz_cd":
        assert problems == []
    else:
        wrong = [split for split, count in info.splits.items() if count != len(info.pairs(root, split))]
        assert (wrong or not info.splits) and all(
            any(f"split '{split}' has" in problem for problem in problems) for split in wrong
        )
    if info.image_size and info.splits:
        assert any(f"officially {info.image_size}x{info.image_size}" in problem for problem in problems)


def test_opens_under_its_protocol(placed):
    info, _ = placed
    opened = open_data(DataCfg(info.name), ("train", "val"), info.bands)
    assert opened.protocol.dataset == info.name
    assert not set(opened.names["train"]) & set(opened.names["val"])
    assert opened.splits["train"][0].images[0].dtype == torch.uint8
    if "val" not in info.splits and not info.split_at_random:
        assert any("held out" in note for note in opened.notes)
    if "test" in info.splits or info.split_at_random:
        assert len(open_data(DataCfg(info.name), ("test",), info.bands).splits["test"]) >= 1


def test_metadata_is_complete(placed):
    info, _ = placed
    assert info.citation.startswith("@article{") and "doi = {10." in info.citation and "doi 10." in info.paper
    assert info.homepage.startswith("http") and info.files and info.description and info.layout
    assert get_protocol(None, info.name).dataset == info.name


def test_every_module_is_a_data_set():
    modules = {path.stem for path in Path(cdzoo.data.datasets.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == set(DATASETS) == set(list_datasets()) and {"levir_cd", "synthetic", "synthetic_plain"} <= modules


def test_data_sets_are_listed_without_torch():
    code = "import sys, cdzoo; assert 'oscd' in cdzoo.list_datasets(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_data_set_of_another_package_opens_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("CDZOO_DATA", str(tmp_path))
    info = DatasetInfo(
        name="mine",
        title="Mine",
        description="",
        resolution="1",
        splits={"train": 2, "test": 2},
        image_size=None,
        protocols=(Protocol("mine_32", "mine", tile=32),),
        folders=("past", "present", "truth"),
    )
    monkeypatch.setitem(DATASETS, "mine", info)
    imitate_folders(tmp_path / "mine", info.folders, info.splits)
    opened = open_data(DataCfg("mine"), ("train", "val"))
    assert opened.protocol.name == "mine_32" and len(opened.splits["train"]) == len(opened.splits["val"]) == 4
    assert "mine_32" in list_protocols() and info.verify(tmp_path / "mine") == []


def test_generated_data_sets_open_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = open_data(DataCfg("synthetic_plain:2"), ("train",))
    assert opened.protocol == get_protocol(None, "synthetic") and len(opened.splits["train"]) == 2
    wide = open_data(DataCfg("synthetic_wide:2"), ("train",))
    assert wide.protocol.name == "synthetic_wide_256" and wide.splits["train"].names == ["wide_train_00000", "wide_train_00001"]
    assert wide.splits["train"][1].images[0].shape == (3, 256, 256)
    assert main(["data", "info", "synthetic"]) == 0 and main(["data", "prepare", "synthetic"]) == 2


def test_missing_data_sets_raise_with_download_instructions(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CDZOO_DATA", str(tmp_path))
    with pytest.raises(InputError, match="cdzoo data info levir_cd says how to get LEVIR-CD"):
        open_data(DataCfg("levir_cd"), ("train", "val"))
    with pytest.raises(UnknownNameError, match=r"no data set 'levir_cdd'\. Did you mean 'levir_cd"):
        dataset_info("levir_cdd")
    assert main(["data", "prepare", "levir_cd"]) == 2
    assert "train.zip, val.zip, test.zip" in capsys.readouterr().err
    assert main(["data", "info", "levir_cd"]) == 0
    assert "train 445, val 64, test 128" in capsys.readouterr().out
    imitate(dataset_info("levir_cd"), tmp_path / "levir_cd")
    assert main(["data", "info", "levir_cd"]) == 1
    capsys.readouterr()
    assert main(["data", "list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*DATASETS, *list_protocols()))


def test_the_random_split_keeps_scenes_together_and_has_its_proportions():
    names = [f"area{index}_{y}_0" for index in range(3000) for y in (0, 256)]
    splits = [random_split(name) for name in names]
    assert splits[::2] == splits[1::2]
    assert 0.77 < splits.count("train") / len(splits) < 0.83 and 0.08 < splits.count("val") / len(splits) < 0.12


def test_oscd_names_every_missing_file(tmp_path):
    info = dataset_info("oscd")
    imitate(info, tmp_path / "oscd")
    for file in (tmp_path / "oscd").rglob("cm.png"):
        file.unlink()
    with pytest.raises(InputError, match=r"missing: rome/cm/cm\.png, paris/cm/cm\.png"):
        info.pairs(tmp_path / "oscd", "train")


def test_oscd_has_13_bands_for_models_that_take_them(tmp_path, monkeypatch):
    import numpy as np
    import rasterio

    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    for city in ("one", "three"):
        for date in (1, 2):
            folder = tmp_path / "oscd" / "images" / city / f"imgs_{date}_rect"
            folder.mkdir(parents=True)
            for number, name in enumerate(names):
                profile = {"driver": "GTiff", "height": 40, "width": 40, "count": 1, "dtype": "uint16"}
                with rasterio.open(folder / f"{name}.tif", "w", transform=rasterio.Affine.scale(2), **profile) as file:
                    file.write(np.full((1, 40, 40), 100 * number + len(city) + date, np.uint16))
        (tmp_path / "oscd" / "labels" / city / "cm").mkdir(parents=True)
        Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(tmp_path / "oscd" / "labels" / city / "cm" / "cm.png")
    (tmp_path / "oscd" / "train.txt").write_bytes("one,three\n".encode("utf-8-sig"))
    monkeypatch.setenv("CDZOO_DATA", str(tmp_path))
    opened = open_data(DataCfg("oscd", value_range=(0, 1000)), ("train", "val"), (13, 13))
    sample = opened.splits["train"][0]
    assert [len(samples) for samples in opened.splits.values()] == [1, 1] and opened.hashes["train"] != opened.hashes["val"]
    offset = 0.001 * (len(sample.name) + 2)
    assert sample.images[1][:, 0, 0].tolist() == pytest.approx([0.1 * number + offset for number in range(13)])
    with pytest.raises(InputError, match=r"missing: one/pair/img1\.png"):
        open_data(DataCfg("oscd"), ("train", "val"))

"""Folders of one's own with classes: declarations, layouts and masks."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_data import SIDE, WRITERS, image, land_cover, save, values
from PIL import Image

from cdzoo.data.datasets import DATASETS
from cdzoo.data.open import DataCfg, data_classes, open_data
from cdzoo.errors import InputError

OWN = {
    "classes.txt": "# value, color\n0 255,255,255 unchanged\n1 0,0,255 water\n2 10,20,30 bare ground\n255 0,0,0 unlabeled\n",
    "classes.json": json.dumps(
        {
            "classes": [
                {"name": "unchanged", "value": 0, "color": [255, 255, 255]},
                {"name": "water", "value": 1, "color": [0, 0, 255]},
                {"name": "bare ground", "value": 2, "color": [10, 20, 30]},
                {"name": "unlabeled", "value": 255, "color": [0, 0, 0]},
            ]
        }
    ),
}
OWN_COLORS = {"unchanged": [255, 255, 255], "water": [0, 0, 255], "bare ground": [10, 20, 30], "unlabeled": [0, 0, 0]}


def read(root, index=0):
    """Return a sample of a folder without splits."""
    return open_data(DataCfg(str(root)), ("all",)).splits["all"][index]


def write_own(root, folders=("labels1", "labels2"), colors=False, count=3):
    """Write a folder of one's own with two classes."""
    rng = np.random.default_rng(0)
    table = np.zeros((256, 3), np.uint8)
    table[:3] = (255, 255, 255), (0, 0, 255), (10, 20, 30)
    for index in range(count):
        *maps, mask = land_cover(rng, 2)
        maps[0][-4:], maps[1][-4:] = 255, 255
        for folder, classes in zip(folders, (*maps, mask), strict=False):
            save(table[classes] if colors else classes, root / folder / f"{index}.png")
        for date in "AB":
            save(image(rng), root / date / f"{index}.png")


def test_short_declarations_of_values_or_colors(tmp_path):
    write_own(tmp_path, colors=True)
    (tmp_path / "classes.json").write_text(json.dumps({"classes": OWN_COLORS}))
    assert values(read(tmp_path))["semantic_t1"] == [0, 1, 2, 255]
    shutil.rmtree(tmp_path / "labels1")
    write_own(tmp_path)
    numbers = dict(zip(OWN_COLORS, (0, 1, 2, 255), strict=True))
    (tmp_path / "classes.json").write_text(json.dumps({"classes": numbers}))
    assert values(read(tmp_path))["semantic_t2"] == [0, 1, 2, 255]


@pytest.mark.parametrize("file", OWN)
@pytest.mark.parametrize("colors", [False, True])
def test_folders_of_ones_own_declare_their_classes(tmp_path, file, colors):
    write_own(tmp_path, colors=colors)
    with pytest.raises(InputError, match=r"has labels of both dates, but no classes\.json or classes\.txt"):
        read(tmp_path)
    (tmp_path / file).write_text(OWN[file])
    declared = data_classes(DataCfg(str(tmp_path)))
    assert (declared.class_names, declared.colors) == (("water", "bare ground"), ((0, 0, 255), (10, 20, 30)))
    sample = read(tmp_path)
    assert values(sample) == {"mask": [0, 1, 255], "semantic_t1": [0, 1, 2, 255], "semantic_t2": [0, 1, 2, 255]}
    save(np.full((SIDE, SIDE), 7, np.uint8), tmp_path / "labels2" / "1.png")
    with pytest.raises(InputError, match=r"labels2/1\.png: .*has the value 7, which .*Declare it in classes"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("water\n", "a class needs a name, and a value"),
        ("1 water\n1 ground\n", "the value 1 is declared twice"),
        ("1 water\n2 water\n", "a name is declared twice"),
        ("0,0,255 water\n", "no color of the pixels without change"),
        ("1 water\n0,0,255 ground\n", "ground: no value, although other classes have one"),
        ("1 2 water\n", "two numbers; expected a value, a color or both, then the name"),
        ("300 water\n", "a class needs a name, and a value from 0 to 255"),
        ("", "declares no classes"),
    ],
)
def test_wrong_files_of_classes_raise(tmp_path, text, message):
    write_own(tmp_path, count=1)
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        data_classes(DataCfg(str(tmp_path)))


def test_one_map_of_kinds_and_grades_of_ones_own(tmp_path):
    write_own(tmp_path, ("label",))
    (tmp_path / "classes.txt").write_text("0 no change\n1 built\n2 razed\n255 unlabeled\n")
    cfg = DataCfg(str(tmp_path))
    assert data_classes(cfg).class_names == ("no change", "built", "razed")
    assert values(read(tmp_path)) == {"mask": [0, 1, 2, 255]}
    classes = [{"name": name, "value": value} for value, name in enumerate(("no building", "intact", "destroyed"))]
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "classes.json").write_text(json.dumps({"task": "damage", "classes": classes}))
    with pytest.raises(InputError, match="has the value 255"):
        read(tmp_path)
    (tmp_path / "classes.json").write_text(json.dumps({"task": "damages", "classes": classes}))
    with pytest.raises(InputError, match=r"unknown task 'damages'\. Did you mean 'damage'"):
        data_classes(cfg)
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes, "colours": []}))
    with pytest.raises(InputError, match="expected the keys classes, task, mask_encoding"):
        data_classes(cfg)


def test_the_files_of_classes_in_the_documentation_are_read(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "classes.md").read_text()
    write_own(tmp_path)
    for suffix, language in ((".txt", "text"), (".json", "json")):
        (text,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        (tmp_path / f"classes{suffix}").write_text(text)  # JSON is read if there are both
        assert data_classes(DataCfg(str(tmp_path))).class_names == ("water", "bare ground")
        assert values(read(tmp_path))["mask"] == [0, 1, 255]
    rows = {name for name, info in DATASETS.items() if info.labels and f"`{name}`" in page}
    assert rows == set(WRITERS) == {name for name, info in DATASETS.items() if info.labels}


def test_land_cover_everywhere_is_compared_where_there_is_no_mask(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(2):
        first, second_map, mask = land_cover(rng, 3, everywhere=True)
        for folder, pixels in zip(("A", "B", "labels1", "labels2"), (image(rng), image(rng), first, second_map), strict=True):
            save(pixels, tmp_path / folder / f"{index}.png")
    classes = [{"name": name, "value": value} for value, name in enumerate(("a", "b", "c"), 1)]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes, "everywhere": True}))
    sample = read(tmp_path, 1)
    assert np.array_equal(sample.target["mask"].numpy(), mask) and values(sample)["semantic_t1"] == [1, 2, 3]


def test_masks_of_change_have_the_declared_values(tmp_path):
    write_own(tmp_path, ("labels1", "labels2", "change"), count=1)
    (tmp_path / "classes.txt").write_text(OWN["classes.txt"])
    assert values(read(tmp_path))["mask"] == [0, 1]
    path = tmp_path / "change" / "0.png"
    mask = np.array(Image.open(path))
    mask[:4] = 255
    save(mask, path)
    with pytest.raises(InputError, match=r"change/0\.png: the mask has values 0, 1, 255; .*mask_encoding in a classes\.json"):
        read(tmp_path)
    declared = json.loads(OWN["classes.json"])
    for encoding, expected in (("0/1/255", [0, 1, 255]), ("threshold", [0, 1])):
        (tmp_path / "classes.json").write_text(json.dumps({**declared, "mask_encoding": encoding}))
        assert values(read(tmp_path))["mask"] == expected
    (tmp_path / "classes.json").write_text(json.dumps({**declared, "mask_encoding": "0"}))
    with pytest.raises(InputError, match=r"classes\.json: mask_encoding must be 'threshold', or"):
        read(tmp_path)

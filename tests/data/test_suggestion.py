"""Proposals for folders of other layouts, and the example data set."""

import re
import shlex

import numpy as np
import pytest
from PIL import Image

from cdzoo.cli.main import main
from cdzoo.data.check import check_data
from cdzoo.data.layout import list_split
from cdzoo.data.patterns import match_patterns
from cdzoo.errors import InputError

NAMES = ("p1", "p2", "s_3")
FOLDERS = {
    "words": [f"{kind}/{name}.png" for kind in ("Before", "After", "Labels") for name in NAMES],
    "no words": [f"{kind}/{name}.png" for kind in ("foo", "goo", "mmm") for name in NAMES],
    "in names": [f"x/{name}_{kind}.png" for kind in ("pre", "post") for name in NAMES] + [f"y/cm_{n}.png" for n in NAMES],
    "one folder": [f"{name}_{kind}.png" for kind in ("A", "B", "label") for name in NAMES],
    "years": [f"x/{name}_{kind}.png" for kind in ("2015", "2019", "mask") for name in NAMES],
    "folders of pairs": [f"{name}/{kind}.png" for kind in ("before", "after", "mask") for name in NAMES],
    "folders of bands": [f"{n}/{kind}/B0{b}.png" for kind in ("time_1", "time_2") for b in (2, 3) for n in NAMES]
    + [f"{name}/cm.png" for name in NAMES],
    "one file of polygons": [f"{kind}/{name}.png" for kind in ("old", "new") for name in NAMES] + ["changes.gpkg"],
    "splits": [f"{s}/{kind}/{n}.png" for s in ("train", "val") for kind in ("time_1", "time_2", "change_label") for n in NAMES],
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_patterns_are_proposed_that_name_all_pairs(tmp_path, kind):
    for name in FOLDERS[kind]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        gray = any(word in path.name + path.parent.name for word in ("label", "Labels", "mmm", "cm", "mask"))
        Image.fromarray(np.zeros((8, 8) if gray else (8, 8, 3), np.uint8)).save(path, format="PNG")
    with pytest.raises(InputError, match="Name the files instead of --data") as caught:
        list_split(tmp_path)
    words = shlex.split(re.search("for example: (.*)$", str(caught.value))[1])
    assert words[::2] == ["--before", "--after", "--mask"]
    found = match_patterns(*words[1::2])
    assert [*found] == (["train", "val"] if kind == "splits" else [None])
    assert all([pair.name for pair in listing.pairs] == [*NAMES] and not listing.problems for listing in found.values())


def test_nothing_is_proposed_for_files_that_do_not_match(tmp_path):
    for name in ("x/p.png", "y/q.png", "z/r.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    with pytest.raises(InputError) as caught:
        list_split(tmp_path)
    assert "Name the files" not in str(caught.value)


def test_copies_of_a_named_data_set_are_recognized(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match=f"if it is a copy of that data set: --data xbd --root {re.escape(str(tmp_path))}"):
        check_data(tmp_path, progress=False)


def test_an_example_is_written_once_and_has_no_problems(tmp_path, capsys):
    folder = tmp_path / "pairs"
    assert main(["data", "make", str(folder), "--count", "3", "--size", "32"]) == 0
    report = check_data(folder, progress=False)
    assert not report.problems and report.splits[0].pairs == 3 and report.splits[0].sizes == {(32, 32): 3}
    assert 0 < report.splits[0].changed < 1
    assert main(["data", "make", str(folder)]) == 2 and "already exists" in capsys.readouterr().err
    assert main(["data", "make", str(tmp_path / "q"), "--size", "3"]) == 2 and not (tmp_path / "q").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]

"""Pairs from tables and patterns."""

import json

import numpy as np
import pytest
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
        ({}, "--data required"),
        ({"data": "x", "pairs": "y.csv"}, "exclude each other"),
        ({"before": "x/*", "after": "y/*"}, "missing: mask"),
    ):
        with pytest.raises(ConfigError, match=expected):
            DataCfg(**wrong)


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
    assert main(["data", "check"]) == 2 and "--data required" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_trained_scored_and_reproduced_from_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_named(tmp_path, [f"p{index}" for index in range(4)])
    rows = [f"x/p{i}_pre.png,x/p{i}_post.png,y/p{i}.png,{('train', 'train', 'val', 'test')[i]}" for i in range(4)]
    table(tmp_path, "\n".join(["before,after,mask,split", *rows]))
    tiny = ["--model", "tinycd", "--out", "run", "epochs=1", "batch_size=2", "crop=32", "device=cpu"]
    assert main(["train", "--pairs", "pairs.csv", *tiny]) == 0
    assert "eval --model run --pairs pairs.csv --split test" in capsys.readouterr().out
    assert main(["eval", "--model", "run", "--pairs", "pairs.csv", "--out", "s.json", "--device", "cpu"]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["data"]["pairs"] == "pairs.csv"
    assert main(["reproduce", "run", "--device", "cpu"]) == 0

"""Data sets of the library `datasets`, from folders on disk."""

import io

import numpy as np
import pytest
from PIL import Image

from cdzoo.cli.main import main
from cdzoo.data.folder import FolderPairs


def encoded(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return {"bytes": buffer.getvalue(), "path": None}


def rows(count, seed, names):
    rng = np.random.default_rng(seed)
    found = {name: [] for name in names}
    for _ in range(count):
        for name in names[:2]:
            found[name].append(encoded(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)))
        found[names[2]].append(encoded(rng.integers(0, 2, (16, 16), dtype=np.uint8) * np.uint8(255)))
    return found


@pytest.fixture
def make(tmp_path):
    datasets = pytest.importorskip("datasets")

    def write(names, splits):
        features = datasets.Features(dict.fromkeys(names, datasets.Image()))
        made = {split: datasets.Dataset.from_dict(rows(2, seed, names), features) for seed, split in enumerate(splits)}
        datasets.DatasetDict(made).save_to_disk(str(tmp_path / "set"))
        return tmp_path / "set", made

    return write


def test_a_data_set_is_written_as_it_is_stored(make, tmp_path, capsys):
    folder, made = make(("imageA", "imageB", "label"), ("train", "validation", "test"))
    capsys.readouterr()
    assert main(["data", "prepare", f"hf-dataset:{folder}", "--out", str(tmp_path / "out")]) == 0
    assert "train 2 pairs, val 2 pairs, test 2 pairs; use it with --data" in capsys.readouterr().out
    samples = FolderPairs(tmp_path / "out", split="val")
    for sample, row in zip(samples, made["validation"], strict=True):
        assert np.array_equal(sample.images[1].permute(1, 2, 0).numpy(), np.asarray(row["imageB"]))
        assert np.array_equal(sample.target["mask"].numpy(), np.asarray(row["label"]) // 255)


def test_columns_are_named_where_their_names_do_not_tell(make, tmp_path, capsys):
    folder, _ = make(("x", "y", "z"), ("train",))
    command = ["data", "prepare", f"hf-dataset:{folder}", "--out", str(tmp_path / "out")]
    assert main(command) == 2 and "--columns BEFORE AFTER MASK; it has x, y, z" in capsys.readouterr().err
    assert main([*command, "--columns", "x", "y", "w"]) == 2 and "no column w" in capsys.readouterr().err
    assert main([*command, "--columns", "x", "y", "z"]) == 0
    assert len(FolderPairs(tmp_path / "out")) == 2
    assert main(["data", "check", f"hf-dataset:{folder}"]) == 2
    assert main(["data", "prepare", f"hf-dataset:{tmp_path / 'none'}", "--out", str(tmp_path / "o2")]) == 2
    assert not (tmp_path / "o2").exists()

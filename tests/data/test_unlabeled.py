"""Pairs without masks for semi-supervised training: which there are, and what a run remembers of them."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from cdzoo.config import ModelOptions
from cdzoo.data.open import DataCfg, open_data
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.run import run_training
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.images import read_image
from cdzoo.results import Results

QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu", semi="unimatch", confidence=0.6)


def write_list(path, names):
    path.write_text("".join(f"{name}.png\n" for name in names))
    return str(path)


@pytest.fixture
def split_folder(pair_folder, tmp_path):
    """Write six training, two validation and two test pairs; pair_4 and pair_5 have no mask."""
    root = pair_folder(10, 40)
    (root / "list").mkdir()
    for split, numbers in {"train": range(6), "val": (6, 7), "test": (8, 9)}.items():
        write_list(root / "list" / f"{split}.txt", [f"pair_{number}" for number in numbers])
    for number in (4, 5):
        (root / "label" / f"pair_{number}.png").unlink()
    return root


def test_unlabeled_pairs_are_the_rest_and_those_without_masks(split_folder, tmp_path, recwarn):
    listed = write_list(tmp_path / "labeled.txt", ["pair_3", "pair_1"])
    Image.fromarray(np.full((40, 40), 7, np.uint8)).save(split_folder / "label" / "pair_0.png")  # a mask that must not be read
    opened = open_data(DataCfg(str(split_folder), labeled=listed), ("train", "unlabeled", "val"))
    assert opened.names == {
        "train": ["pair_1", "pair_3"],
        "unlabeled": ["pair_0", "pair_2", "pair_4", "pair_5"],
        "val": ["pair_6", "pair_7"],
    }
    assert not [warning for warning in recwarn if "without a mask" in str(warning.message)]
    assert any("unlabeled: 4 pairs, whose masks are not used" in note for note in opened.notes)
    sample = opened.splits["unlabeled"][0]
    assert not sample.target["mask"].any() and sample.target["mask"].shape == (40, 40)
    pixels = torch.from_numpy(read_image(split_folder / "A" / "pair_0.png", 3)).permute(2, 0, 1)
    assert torch.equal(sample.images[0], pixels)
    with pytest.warns(UserWarning, match="2 pair"):
        supervised = open_data(DataCfg(str(split_folder), labeled=listed), ("train", "val"))
    assert supervised.names["train"] == ["pair_1", "pair_3"]


def test_a_folder_of_further_pairs(split_folder, pair_folder, tmp_path):
    further = pair_folder(12, 40, layout=("T1", "T2", "other"), name="further")  # the first ten are those of the data set
    names = ("T1", "T2")
    for number in range(6, 10):
        for name in names:
            (further / name / f"pair_{number}.png").unlink()
    cfg = DataCfg(str(split_folder), unlabeled=str(further))
    found = open_data(cfg, ("train", "unlabeled")).names
    assert found["train"] == [f"pair_{number}" for number in range(4)]
    assert found["unlabeled"] == ["pair_4", "pair_5", "pair_10", "pair_11"]  # labeled pairs and copies are left out
    (further / "T2" / "pair_11.png").unlink()
    with pytest.raises(InputError, match=r"T2/pair_11.\*: missing"):
        open_data(cfg, ("train", "unlabeled"))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("labeled", [True, False])
def test_nothing_is_learned_from_pairs_that_are_held_out(split_folder, tmp_path, split, labeled):
    if not labeled:  # no pair of the split has a mask
        for file in (split_folder / "label").glob("pair_[89].png"):
            file.unlink()
    further, number = tmp_path / "further", {"val": 6, "test": 9}[split]
    for folder in ("A", "B"):
        (further / folder).mkdir(parents=True)
        (further / folder / "renamed.png").write_bytes((split_folder / folder / f"pair_{number}.png").read_bytes())
    cfg = DataCfg(str(split_folder), unlabeled=str(further))
    with pytest.raises(InputError, match=rf"renamed.png \(unlabeled\) has the same content as .*pair_{number}.png \({split}\)"):
        open_data(cfg, ("train", "unlabeled", "val"))


def test_lists_and_folders_that_cannot_be_used(split_folder, tmp_path):
    listed = write_list(tmp_path / "labeled.txt", ["pair_1", "pair_6", "unknown"])
    for number in (4, 5):
        for folder in ("A", "B"):
            (split_folder / folder / f"pair_{number}.png").unlink()
    write_list(split_folder / "list" / "train.txt", [f"pair_{number}" for number in range(4)])
    with pytest.raises(InputError, match=r"2 of the 3 names are no training pairs: pair_6, unknown"):
        open_data(DataCfg(str(split_folder), labeled=listed), ("train", "val"))
    with pytest.raises(InputError, match=r"expected a folder for each date \(one of A/B; T1/T2"):
        open_data(DataCfg(str(split_folder), unlabeled=str(tmp_path)), ("train", "unlabeled"))
    with pytest.raises(ConfigError, match="generated with its masks"):
        open_data(DataCfg("synthetic:4", labeled=listed), ("train",))
    with pytest.raises(ConfigError, match=r"unlabeled=.*add semi=unimatch"):
        data = DataCfg(str(split_folder), unlabeled=str(tmp_path))
        run_training(ModelOptions("fc_siam_diff"), data, dataclasses.replace(QUICK, semi=None))


def test_weights_remember_what_they_saw_without_masks(split_folder, tmp_path):
    listed = write_list(tmp_path / "labeled.txt", ["pair_1", "pair_3"])
    data = DataCfg(str(split_folder), labeled=listed)
    run_training(ModelOptions("fc_siam_diff"), data, dataclasses.replace(QUICK, epochs=1), tmp_path / "run")
    results = Results.read(tmp_path / "run" / "results.json")
    assert {use: len(hashes) for use, hashes in results.extra["pairs"].items()} == {"train": 2, "val": 2, "unlabeled": 4}
    assert results.training["semi"] == "unimatch" and results.data["labeled"] == listed
    assert results.protocol.splits.keys() == {"train", "val"}  # as without semi, so that the scores can be compared

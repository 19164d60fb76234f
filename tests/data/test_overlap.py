"""Weights remember the pairs that they were trained and selected on, and scores on these pairs are marked."""

import shutil

import pytest

from cdzoo.config import ModelOptions
from cdzoo.data.folder import FolderPairs
from cdzoo.data.open import DataCfg, open_data
from cdzoo.data.overlap import describe_overlap, memory, overlap, pair_hashes, sample_hashes
from cdzoo.engine import TrainCfg
from cdzoo.engine.run import run_training, score_model
from cdzoo.results import RESULTS_FILE, Results

SETTINGS = {"epochs": 1, "batch_size": 2, "crop": 32, "progress": False, "device": "cpu", "workers": 0}


def test_hashes_depend_on_the_images_alone(pair_folder, tmp_path):
    pairs = FolderPairs(pair_folder(4)).pairs
    copy = tmp_path / "copy"
    for source, folder in (("A", "pre"), ("B", "post"), ("label", "label")):
        shutil.copytree(tmp_path / "pairs" / source, copy / folder)
        (copy / folder / "pair_3.png").rename(copy / folder / "other.png")
    shutil.copy(copy / "label" / "pair_0.png", copy / "label" / "other.png")
    assert sorted(pair_hashes(FolderPairs(copy).pairs)) == sorted(pair_hashes(pairs))
    swapped = [type(pairs[0])("x", pairs[0].images[::-1], pairs[0].mask)]
    assert pair_hashes(swapped) == pair_hashes(pairs[:1]) and len(set(pair_hashes(pairs))) == 4
    samples = list(FolderPairs(copy))
    assert len(set(sample_hashes(samples))) == 4 and sample_hashes(iter(samples)) == []


def test_overlaps_are_counted_per_use():
    remembered = memory({"train": [], "val": []}, {"train": ["a"], "val": ["b"]}) | {"train": ["c", "d"]}
    found = overlap(["c", "c", "a", "e"], remembered)
    assert found == {"train": 2, "val": 0, "init": 1}
    assert describe_overlap(4, found).startswith("OVERLAP: of the 4 pairs scored, 2 were trained on, 0 were used to select")
    assert "OVERLAP" not in describe_overlap(4, overlap(["e"], remembered))
    assert "do not record" in describe_overlap(4, {})


@pytest.fixture
def run(pair_folder, tmp_path):
    """Train on a folder without splits; return data and folder of the run."""
    data = DataCfg(str(pair_folder(12, 40)))
    options = ModelOptions("fc_ef", backbone_kwargs={"channels": [4, 4, 4, 4]})
    model, _ = run_training(options, data, TrainCfg(**SETTINGS), tmp_path / "run")
    return model, data, tmp_path / "run"


def test_scores_of_a_folder_without_splits_are_on_other_pairs_than_those_of_training(run):
    model, data, folder = run
    remembered = Results.read(folder / RESULTS_FILE).extra["pairs"]
    assert remembered == open_data(data, ("train", "val")).hashes
    expected = {"test": {"train": 0, "val": 0}, "val": {"train": 0, "val": 1}, "all": {"train": 10, "val": 1}}
    for split, counts in expected.items():
        results = score_model(model, str(folder), data, split)
        assert results.extra["overlap"] == counts
        (line,) = (note for note in results.notes if "pairs scored" in note)
        assert line.startswith("OVERLAP") == any(counts.values()) and any(
            f"{split}: " in note for note in [*results.notes, "all: "]
        )


def test_renamed_copies_count_and_further_training_does_not_forget(run, pair_folder, tmp_path):
    model, _, folder = run
    for name in ("A", "B", "label"):
        (tmp_path / "copy" / "test" / name).mkdir(parents=True)
        for number, file in enumerate(sorted((tmp_path / "pairs" / name).iterdir())):
            shutil.copy(file, tmp_path / "copy" / "test" / name / f"tile{number}x.png")
    copy = DataCfg(str(tmp_path / "copy"))
    assert score_model(model, str(folder), copy, "test").extra["overlap"] == {"train": 10, "val": 1}
    other = DataCfg(str(pair_folder(4, 36, name="other")))
    options = ModelOptions(f"local-dir:{folder}")
    again, _ = run_training(options, other, TrainCfg(**SETTINGS), tmp_path / "again", init=f"local-dir:{folder}")
    found = score_model(again, str(tmp_path / "again"), copy, "test").extra["overlap"]
    assert found == {"train": 0, "val": 0, "init": 11}

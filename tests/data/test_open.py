"""Opening data: splits, held-out validation pairs, duplicates, protocols."""

import shutil

import pytest
import torch
from PIL import Image

from cdzoo.data.open import DataCfg, open_data
from cdzoo.data.splits import holdout_split, holdout_test, random_split, scene_of
from cdzoo.errors import ConfigError, InputError


@pytest.fixture
def split_folder(pair_folder):
    """Write a data set of 6 training, 2 validation and 3 test pairs without duplicates."""
    everything = pair_folder(11, 48, name="everything")
    root = everything.parent / "set"
    for split, members in (("train", range(6)), ("val", range(6, 8)), ("test", range(8, 11))):
        for folder in ("A", "B", "label"):
            (root / split / folder).mkdir(parents=True)
            for index in members:
                shutil.copy(everything / folder / f"pair_{index}.png", root / split / folder)
    return root


def test_only_requested_splits_are_opened(split_folder):
    opened = open_data(DataCfg(str(split_folder)), ("train", "val"))
    assert {split: len(samples) for split, samples in opened.splits.items()} == {"train": 6, "val": 2}
    assert opened.names["val"] == ["pair_6", "pair_7"]
    shutil.rmtree(split_folder / "test")
    open_data(DataCfg(str(split_folder)), ("train", "val"))
    with pytest.raises(InputError, match=r"no split 'test'.*it has train, val"):
        open_data(DataCfg(str(split_folder)), ("test",))


def test_list_files_split_a_folder(pair_folder):
    root = pair_folder(5)
    (root / "list").mkdir()
    (root / "list" / "train.txt").write_text("pair_0.png\npair_3.png\n\npair_4.png\n")
    (root / "list" / "val.txt").write_text("pair_1\n")
    opened = open_data(DataCfg(str(root)), ("train", "val"))
    assert opened.names == {"train": ["pair_0", "pair_3", "pair_4"], "val": ["pair_1"]}
    (root / "list" / "val.txt").write_text("pair_1\nghost\n")
    with pytest.raises(InputError, match="ghost: listed, but there is no such pair"):
        open_data(DataCfg(str(root)), ("val",))
    (root / "list" / "val.txt").write_text("")
    with pytest.raises(InputError, match=r"val\.txt: the list is empty"):
        open_data(DataCfg(str(root)), ("val",))
    (root / "list" / "val.txt").write_text("pair_1\npair_1\n")
    with pytest.raises(InputError, match="listed more than once: pair_1"):
        open_data(DataCfg(str(root)), ("val",))


def test_a_missing_validation_split_is_held_out_of_train_and_stays_the_same(split_folder):
    shutil.rmtree(split_folder / "val")
    opened = open_data(DataCfg(str(split_folder)), ("train", "val"))
    assert len(opened.splits["train"]) == 5 and len(opened.splits["val"]) == 1
    assert not set(opened.names["train"]) & set(opened.names["val"])
    assert "1 of 6 training pairs are held out" in opened.notes[0]
    assert open_data(DataCfg(str(split_folder)), ("val",)).names["val"] == opened.names["val"]
    assert open_data(DataCfg(str(split_folder)), ("train",)).names["train"] == opened.names["train"]


def test_a_folder_without_splits_is_carved_the_same_way_in_every_command(pair_folder):
    cfg = DataCfg(str(pair_folder(20)))
    opened, tested = open_data(cfg, ("train", "val")), open_data(cfg, ("test",))
    parts = [opened.names["train"], opened.names["val"], tested.names["test"]]
    assert [len(part) for part in parts] == [16, 2, 2] and len(set().union(*parts)) == 20
    assert not set(tested.hashes["test"]) & {*opened.hashes["train"], *opened.hashes["val"]}
    assert "2 of its 20 pairs are the test split" in tested.notes[0]
    assert tested.notes[1].startswith("test: 2 pairs, masks 0/255, from ")
    assert open_data(cfg, ("val",)).names["val"] == parts[1] and set(open_data(cfg, ("all",)).names["all"]) == set().union(*parts)


def test_few_pairs_are_carved_as_far_as_possible(pair_folder):
    root = str(pair_folder(10))
    for count, sizes in ((5, (3, 1)), (4, (3, 1)), (2, (1, 1))):
        cfg = DataCfg(root, exclude=(f"pair_[{count}-9]",))
        assert tuple(map(len, open_data(cfg, ("train", "val")).splits.values())) == sizes
    opened = open_data(cfg, ("test",))
    assert len(opened.splits["test"]) == 2 and "too few pairs to set some aside: all 2 are tested" in opened.notes[0]
    with pytest.raises(InputError, match="one pair cannot be split"):
        open_data(DataCfg(root, exclude=("pair_[1-9]",)), ("train", "val"))


def test_a_renamed_copy_in_the_test_split_raises_before_training(pair_folder):
    root = pair_folder(20)
    tested = open_data(DataCfg(str(root)), ("test",)).names["test"][0]
    for folder in ("A", "B", "label"):
        shutil.copy(root / folder / "pair_3.png", root / folder / f"{tested}.png")
    with pytest.raises(InputError, match="has the same content as"):
        open_data(DataCfg(str(root)), ("train", "val"))


def test_validation_pairs_in_another_folder(pair_folder):
    root, other = pair_folder(4, name="a"), pair_folder(4, 64, name="b")
    opened = open_data(DataCfg(str(root), val=str(other)), ("train", "val"))
    assert len(opened.splits["train"]) == 4 and opened.splits["val"][0].target["mask"].shape == (64, 64)
    same = open_data(DataCfg(str(root), val=str(root)), ("train", "val"))
    assert "the validation pairs are the training pairs" in " ".join(same.notes)


def test_a_pair_in_two_splits_raises(split_folder):
    shutil.copy(split_folder / "train" / "B" / "pair_2.png", split_folder / "val" / "B" / "pair_7.png")
    open_data(DataCfg(str(split_folder)), ("train", "val"))  # a single date may recur, such as a blank image
    shutil.copy(split_folder / "train" / "A" / "pair_2.png", split_folder / "val" / "A" / "pair_7.png")
    with pytest.raises(InputError, match=r"pair_7\.png \(val\) has the same content as .*pair_2\.png \(train\)"):
        open_data(DataCfg(str(split_folder)), ("train", "val"))


def test_a_training_split_without_change_raises(split_folder):
    for path in (split_folder / "train" / "label").iterdir():
        Image.new("L", (48, 48)).save(path)
    with pytest.raises(InputError, match="no mask of the 6 training pairs has changed pixels"):
        open_data(DataCfg(str(split_folder)), ("train", "val"))


def test_protocols_cut_tiles_and_belong_to_data_sets(split_folder):
    with pytest.raises(ConfigError, match=r"unknown protocol 'levir_265'\. Did you mean 'levir_256'"):
        open_data(DataCfg(str(split_folder), protocol="levir_265"), ("train",))
    with pytest.raises(ConfigError, match="for levir_cd, the data are synthetic"):
        open_data(DataCfg("synthetic", protocol="levir_256"), ("val",))


def test_synthetic_scenes_are_the_same_every_time():
    val, test = (open_data(DataCfg("synthetic"), (split,)).splits[split] for split in ("val", "test"))
    assert (len(val), len(test)) == (128, 256)
    again = open_data(DataCfg("synthetic"), ("val",)).splits["val"]
    assert torch.equal(val[3].images[1], again[3].images[1]) and not torch.equal(val[3].images[1], test[3].images[1])
    assert val[3].name == "val_00003" and val[3] is val[3]
    few, many = (open_data(DataCfg(f"synthetic:{count}"), ("train", "val")).splits for count in (2, 600))
    assert (len(few["train"]), len(many["train"]), len(few["val"])) == (2, 600, 128)
    assert torch.equal(few["train"][1].images[0], many["train"][1].images[0])
    plain = open_data(DataCfg("synthetic_plain:2"), ("train",)).splits["train"]
    masks = [samples[0].target["mask"] for samples in (plain, few["train"])]
    assert (masks[0] == masks[1]).float().mean() > 0.9 and plain[0].name == "plain_train_00000"
    equal = [torch.eq(*samples[0].images)[:, masks[0] == 0].float().mean() for samples in (plain, few["train"])]
    assert equal[0] > equal[1] + 0.3
    with pytest.raises(InputError, match="synthetic:many: expected a number of training pairs"):
        open_data(DataCfg("synthetic:many"), ("train",))


def test_tiles_of_a_scene_are_held_out_together():
    names = [f"train_{scene}_{y:04d}_{x:04d}" for scene in range(20) for y in (0, 256) for x in (0, 256)]
    chosen = holdout_split(names, 0.1)
    assert len(chosen) == 8
    assert all((name in chosen) == (other in chosen) for name in names for other in names if scene_of(name) == scene_of(other))
    assert holdout_split(names[::-1], 0.1) == chosen
    assert holdout_split(names[:4], 0.25) <= set(names[:4]) and len(holdout_split(names[:4], 0.25)) == 1


def test_splits_by_names_do_not_change():
    names = [f"train_{number}" for number in range(60)]
    assert holdout_split(names) == {f"train_{number}" for number in (2, 24, 33, 49, 52, 54)}
    assert [random_split(name) for name in names[:6]] == ["test", "train", "train", "test", "train", "val"]
    assert holdout_test(names) == {f"train_{number}" for number in (4, 7, 9, 29, 41, 54)}


def test_scenes():
    assert scene_of("train_36_0512_0512") == "train_36" and scene_of("pair_12") == "pair_12" and scene_of("0001") == "0001"


def test_configs_are_validated():
    assert DataCfg("x", exclude=["a"]).exclude == ("a",)
    for wrong, message in (
        ({"value_range": (5.0, 1.0)}, r"value_range must be \(min, max\) with min < max"),
        *(
            ({"mask_encoding": text}, "mask_encoding must be 'threshold', or")
            for text in ("0", "0/256", "1/1", "a/b", "", "0/1/0")
        ),
        ({"protocoll": "folder"}, "DataCfg has no field 'protocoll'. Did you mean 'protocol'"),
    ):
        with pytest.raises(ConfigError, match=message):
            DataCfg("x", **wrong)


@pytest.mark.parametrize(("encoding", "found"), [(None, "0/255"), ("0/255", "0/255"), ("threshold", "threshold")])
def test_masks_are_read_in_the_given_encoding(pair_folder, encoding, found):
    opened = open_data(DataCfg(str(pair_folder(3)), mask_encoding=encoding), ("train",))
    assert opened.splits["train"].encoding.value == found and opened.splits["train"][0].target["mask"].max() == 1


def test_a_layout_of_a_single_data_set_is_found_in_any_folder(pair_folder):
    root = pair_folder(6, layout=("A", "B", "OUT"), name="copy/train").parent
    assert len(open_data(DataCfg(str(root)), ("train", "val")).splits["train"]) == 5

"""Folders of pairs: layouts, splits, errors."""

import shutil

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from cdzoo.data.datasets import known_layouts
from cdzoo.data.folder import FolderPairs
from cdzoo.data.layout import find_splits
from cdzoo.data.sample import Sample, as_sample
from cdzoo.errors import InputError


@pytest.mark.parametrize("layout", known_layouts())
@pytest.mark.parametrize("ones", [1, 255])
def test_every_layout_and_both_encodings_give_the_same_samples(pair_folder, layout, ones):
    samples = FolderPairs(pair_folder(3, 40, layout, ones=ones))
    assert len(samples) == 3
    sample = samples[1]
    (x1, x2), mask = sample.images, sample.target["mask"]
    assert sample.name == "pair_1" and x1.shape == x2.shape == (3, 40, 40) and x1.dtype == torch.uint8
    assert mask.dtype == torch.int64 and mask.unique().tolist() == [0, 1]
    assert torch.equal((x1 != x2).any(0), mask.bool())


def test_samples_are_collated(pair_folder):
    batch = next(iter(DataLoader(FolderPairs(pair_folder(3, 40)), batch_size=2)))
    assert isinstance(batch, Sample) and batch.images[1].shape == (2, 3, 40, 40)
    assert batch.target["mask"].shape == (2, 40, 40) and batch.name == ("pair_0", "pair_1")


def test_user_dicts_are_converted():
    item = {"image_a": torch.zeros(3, 4, 4), "image_b": torch.ones(3, 4, 4), "mask": torch.zeros(4, 4), "name": "x"}
    sample = as_sample(item)
    assert sample.images == (item["image_a"], item["image_b"]) and sample.name == "x" and as_sample(sample) is sample
    with pytest.raises(InputError, match=r"a sample must be .*; got image_a, label"):
        as_sample({"image_a": 1, "label": 2})


def test_names_are_in_natural_order_and_suffixes_may_differ(pair_folder):
    root = pair_folder(11, 32)
    Image.open(root / "A" / "pair_3.png").save(root / "A" / "pair_3.bmp")
    (root / "A" / "pair_3.png").unlink()
    assert [p.name for p in FolderPairs(root).pairs] == [f"pair_{i}" for i in range(11)]


def test_missing_partners_are_all_listed(pair_folder):
    root = pair_folder(5)
    (root / "A" / "pair_0.png").unlink()
    (root / "B" / "pair_1.png").unlink()
    with pytest.raises(InputError) as caught:
        FolderPairs(root)
    message = str(caught.value)
    assert "2 file(s) cannot be used" in message and "--exclude" in message
    assert "A/pair_0.*: missing" in message and "B/pair_1.*: missing" in message
    assert len(FolderPairs(root, exclude=["pair_0", "*_1"])) == 3


def test_sizes_are_checked_when_the_folder_is_opened(pair_folder):
    root = pair_folder(3)
    Image.new("RGB", (48, 47)).save(root / "B" / "pair_0.png")
    Image.new("L", (47, 48)).save(root / "label" / "pair_2.png")
    with pytest.raises(InputError) as caught:
        FolderPairs(root)
    assert "B/pair_0.png: 48x47 pixels" in str(caught.value) and "label/pair_2.png: 47x48 pixels" in str(caught.value)


def test_pairs_without_a_mask_are_left_out_with_a_warning(pair_folder):
    root = pair_folder(3)
    (root / "label" / "pair_1.png").unlink()
    with pytest.warns(UserWarning, match=r"1 pair.*without a mask are left out: pair_1"):
        assert [p.name for p in FolderPairs(root).pairs] == ["pair_0", "pair_2"]


def test_a_mask_without_images_is_an_error(pair_folder):
    root = pair_folder(2)
    shutil.copy(root / "label" / "pair_0.png", root / "label" / "stray.png")
    with pytest.raises(InputError, match=r"stray.png: a mask without images"):
        FolderPairs(root)


def test_duplicate_names_are_an_error(pair_folder):
    root = pair_folder(2)
    Image.open(root / "A" / "pair_0.png").save(root / "A" / "pair_0.bmp")
    with pytest.raises(InputError, match=r"pair_0\.png: duplicate name, the other file is pair_0\.bmp"):
        FolderPairs(root)


def test_unknown_layouts_list_the_content_of_the_folder(tmp_path, pair_folder):
    with pytest.raises(InputError, match="no such folder"):
        FolderPairs(tmp_path / "none")
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"expected three folders .*A/B/label.* found photos/"):
        FolderPairs(tmp_path)
    root = pair_folder(1)
    (root / "label" / "pair_0.png").unlink()
    with pytest.raises(InputError, match="no pair with a mask"):
        FolderPairs(root)


def test_splits_are_found(pair_folder):
    root = pair_folder(1, name="set/train")
    assert find_splits(root.parent) == {"train": root}

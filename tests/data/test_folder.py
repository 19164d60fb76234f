"""Pairs in folders."""

import shutil

import pytest
import torch
from PIL import Image

from cdzoo.data.folder import LAYOUTS, FolderPairs
from cdzoo.data.layout import find_splits
from cdzoo.errors import InputError


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ones", [1, 255])
def test_every_layout_and_both_encodings_give_the_same_samples(pair_folder, layout, ones):
    samples = FolderPairs(pair_folder(3, 40, layout, ones=ones))
    assert len(samples) == 3
    sample = samples[1]
    assert sample.name == "pair_1"
    assert sample.images[0].shape == sample.images[1].shape == (3, 40, 40)
    assert sample.images[0].dtype == torch.uint8
    assert sample.target["mask"].dtype == torch.int64 and sample.target["mask"].unique().tolist() == [0, 1]
    changed = (sample.images[0] != sample.images[1]).any(0)
    assert torch.equal(changed, sample.target["mask"].bool())


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


def test_sizes_are_checked_before_work_starts(pair_folder):
    root = pair_folder(3)
    Image.new("RGB", (48, 47)).save(root / "B" / "pair_0.png")
    Image.new("L", (47, 48)).save(root / "label" / "pair_2.png")
    with pytest.raises(InputError) as caught:
        FolderPairs(root)
    assert "B/pair_0.png: 48x47 pixels" in str(caught.value) and "label/pair_2.png: 47x48 pixels" in str(caught.value)


def test_pairs_without_a_mask_are_left_out_aloud(pair_folder):
    root = pair_folder(3)
    (root / "label" / "pair_1.png").unlink()
    with pytest.warns(UserWarning, match=r"1 pair.*without a mask are left out: pair_1"):
        assert [p.name for p in FolderPairs(root).pairs] == ["pair_0", "pair_2"]


def test_a_mask_without_images_is_an_error(pair_folder):
    root = pair_folder(2)
    shutil.copy(root / "label" / "pair_0.png", root / "label" / "stray.png")
    with pytest.raises(InputError, match=r"stray.png: a mask without images"):
        FolderPairs(root)


def test_two_files_of_one_name_are_an_error(pair_folder):
    root = pair_folder(2)
    Image.open(root / "A" / "pair_0.png").save(root / "A" / "pair_0.bmp")
    with pytest.raises(InputError, match="two images of one name"):
        FolderPairs(root)


def test_folders_that_are_no_data_set_say_what_was_found(tmp_path, pair_folder):
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

"""The first samples of a split are checked before any work."""

import warnings

import pytest
import torch

from cdzoo.data.contract import check_samples
from cdzoo.data.folder import FolderPairs
from cdzoo.data.sample import Sample
from cdzoo.engine import TrainCfg, train
from cdzoo.errors import InputError
from cdzoo.sizes import InputSizes

IMAGE = torch.randint(60, 200, (3, 40, 48), dtype=torch.uint8)
MASK = torch.zeros(40, 48, dtype=torch.int64)
MASK[3:9, 4:20] = 1


def sample(before=IMAGE, after=IMAGE, mask=MASK, name="one"):
    return Sample((before, after), {"mask": mask}, name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (sample(after=IMAGE[:, :, :47]), "the dates differ in size"),
        (sample(before=IMAGE[:2]), r"date 1 has 2 band\(s\), the model expects 3; build it with in_chans=2"),
        (sample(*[IMAGE.permute(1, 2, 0)] * 2), r"date 1 has 40 band\(s\).*permute\(2, 0, 1\)"),
        (sample(after=IMAGE[0]), r"date 2 must be a tensor \(bands, H, W\), got \(40, 48\)"),
        (sample(after=IMAGE.numpy()), "date 2 must be a tensor .*got ndarray"),
        (sample(after=IMAGE.int()), "date 2 has torch.int32 values; expected uint8"),
        (sample(after=IMAGE / torch.zeros(1)), "date 2 has values that are NaN or infinite"),
        (sample(mask=MASK[None]), r"the mask must be a tensor \(H, W\) .*\(40, 48\); got \(1, 40, 48\)"),
        (sample(mask=MASK.float()), "the mask has torch.float32 values; expected integers"),
        (sample(mask=MASK * 2), "the mask has the value 2; expected 0, 1, and 255"),
        (sample(mask=-MASK), "the mask has the value -1"),
        (sample(mask=MASK * 255), "0 and 255 and nowhere 1"),
        (Sample((IMAGE,), {"mask": MASK}, "one"), r"1 image\(s\), but the model takes 2 dates"),
    ],
)
def test_what_cannot_be_meant_raises(wrong, message):
    with pytest.raises(InputError, match=message):
        check_samples([wrong], (3, 3), "train")


@pytest.mark.parametrize(
    ("scale", "said"),
    [(1.0, "values of at most .*divide by the largest"), (1 / 255**2, "divided twice"), (1 / 255, ""), (1 / 60, "")],
)
def test_odd_ranges_are_said(scale, said):
    images = [IMAGE.float() * scale] * 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_samples([sample(*images)], (3, 3), "train")
    assert len(caught) == bool(said)
    if said:
        with pytest.warns(UserWarning, match=said):
            check_samples([sample(*images)], (3, 3), "train")


def test_masks_of_0_and_255_are_accepted_if_another_sample_has_change():
    void = [sample(mask=MASK * 255)] * 9
    check_samples([*void, sample()], (3, 3), "train")
    with pytest.raises(InputError, match="nowhere 1"):
        check_samples(void, (3, 3), "train")


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32])
def test_integer_and_boolean_masks_are_taken(dtype):
    check_samples([{"image_a": IMAGE, "image_b": IMAGE, "mask": MASK.to(dtype)}], (3, 3), "train")


def test_sizes_are_checked_where_samples_are_predicted_whole(pair_folder):
    small = FolderPairs(pair_folder(9, 20))
    check_samples(small, (3, 3), "train")
    with pytest.raises(InputError, match=r"has 9 sample\(s\) that are smaller than 32x32.*A/pair_0\.png 20x20.* and 1 more"):
        check_samples(small, (3, 3), "val", whole=True)
    with pytest.raises(InputError, match="are not 64x64 pixels"):
        check_samples([sample()], (3, 3), "val", whole=True, accepted=InputSizes(64))


def test_a_run_checks_its_samples_before_the_first_step(tiny, tmp_path):
    model, out = tiny(), tmp_path / "run"
    with pytest.raises(InputError, match=r"split 'validation'.*the mask has the value 7"):
        train(model, [sample()], [sample(mask=MASK * 7)], TrainCfg(epochs=1, batch_size=1, crop=32, device="cpu"), out)
    assert not out.exists()

"""Mask encodings: detected over a data set, checked in every file."""

import numpy as np
import pytest
from PIL import Image

from cdzoo.data.masks import MaskEncoding, find_encoding, read_mask
from cdzoo.data.open import DataCfg, open_data
from cdzoo.errors import ConfigError, InputError

CHANGE = np.zeros((32, 40), np.uint8)
CHANGE[4:20, 6:30] = 1


def save(path, pixels):
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def noisy(mask, rng):
    return np.where(mask, 255 - rng.integers(0, 40, mask.shape), rng.integers(0, 40, mask.shape))


def test_each_encoding_is_detected_and_read(tmp_path):
    rng = np.random.default_rng(0)
    written = {MaskEncoding.ONE: CHANGE, MaskEncoding.FULL: CHANGE * 255, MaskEncoding.THRESHOLD: noisy(CHANGE, rng)}
    for encoding, pixels in written.items():
        empty = save(tmp_path / "empty.png", CHANGE * 0)
        path = save(tmp_path / "mask.png", pixels)
        assert find_encoding([empty, path])[0] == encoding
        assert np.array_equal(read_mask(path, encoding), CHANGE)
        assert not read_mask(empty, encoding).any()


def test_jpeg_masks_are_thresholded(tmp_path):
    Image.fromarray(np.kron(CHANGE, np.ones((5, 5), np.uint8)) * 255).save(tmp_path / "m.jpg", quality=75)
    assert find_encoding([tmp_path / "m.jpg"])[0] == MaskEncoding.THRESHOLD
    assert np.array_equal(read_mask(tmp_path / "m.jpg", MaskEncoding.THRESHOLD)[2::5, 2::5], CHANGE)
    with pytest.raises(InputError, match="expected 0/1 or 0/255"):
        read_mask(tmp_path / "m.jpg")


def test_noise_without_change_is_distinguished_from_class_labels(tmp_path):
    rng = np.random.default_rng(0)
    speckle = save(tmp_path / "speckle.png", rng.integers(0, 6, CHANGE.shape))
    with pytest.raises(InputError, match=r"speckle\.png: the mask has values 0, 1, 2, 3, 4, 5; .*class labels"):
        find_encoding([speckle])
    clear = save(tmp_path / "clear.png", noisy(CHANGE, rng))
    assert find_encoding([speckle, clear])[0] == MaskEncoding.THRESHOLD
    assert not read_mask(speckle, MaskEncoding.THRESHOLD).any()


def test_mixed_encodings_raise(tmp_path):
    one, full = save(tmp_path / "one.png", CHANGE), save(tmp_path / "full.png", CHANGE * 255)
    with pytest.raises(InputError, match=r"different encodings: .*one\.png is 0/1; .*full\.png is 0/255"):
        find_encoding([one, full])
    with pytest.raises(InputError, match=r"full\.png: the mask has values 0, 255; expected 0/1 as in the other masks"):
        read_mask(full, MaskEncoding.ONE)
    with pytest.raises(InputError, match=r"one\.png: the mask has values 0, 1; expected 0/255 as in the other masks"):
        read_mask(one, MaskEncoding.FULL)


def test_intermediate_values_raise(tmp_path):
    gray = save(tmp_path / "gray.png", np.arange(32 * 40).reshape(32, 40) % 256)
    with pytest.raises(InputError, match="expected 0/1, 0/255 or noise"):
        find_encoding([gray])
    with pytest.raises(InputError, match="not noise around 0 and 255"):
        read_mask(gray, MaskEncoding.THRESHOLD)


@pytest.mark.parametrize(
    "masks",
    [
        [CHANGE, np.where(np.arange(40) < 20, CHANGE, 255)],  # 255 is not labeled
        [CHANGE * 255, np.where(np.arange(40) < 2, 128, CHANGE * 255)],  # 128 is not labeled, in 5 % of the pixels
        [np.where(np.arange(40) < 20, CHANGE, 254)],
        [np.arange(32 * 40).reshape(32, 40) % 20, np.full((32, 40), 255)],  # classes, and 255 where there is none
        [CHANGE * 2],
    ],
)
def test_values_that_may_mean_anything_raise_until_they_are_declared(tmp_path, masks):
    paths = [save(tmp_path / f"{number}.png", mask) for number, mask in enumerate(masks)]
    with pytest.raises(InputError, match=r"\d\.png.*mask has values .*declare what the values mean with --mask-encoding"):
        find_encoding(paths)


@pytest.mark.parametrize(("text", "values"), [("0/1/255", (0, 1, 255)), ("1/2/0", (1, 2, 0)), ("0/255/128/127", (0, 255, 128))])
def test_declared_values_without_a_label_are_left_out(tmp_path, text, values):
    truth = CHANGE.copy()
    truth[:, 20:] = 2
    path = save(tmp_path / "mask.png", np.array(values)[truth])
    encoding, counts = find_encoding([path], MaskEncoding(text))
    assert np.array_equal(read_mask(path, encoding), np.array([0, 1, 255])[truth])
    assert counts[path] == tuple((truth == kind).sum() for kind in range(3))
    with pytest.raises(InputError, match=rf"other\.png: the mask has values 77; expected {text}"):
        find_encoding([path, save(tmp_path / "other.png", CHANGE * 0 + 77)], encoding)


@pytest.mark.parametrize("changed", [1, 255])
def test_no_sample_decides_for_all_masks(tmp_path, changed):
    paths = [save(tmp_path / f"{number}.png", CHANGE * changed * (number == 101)) for number in range(150)]
    assert find_encoding(paths)[0].value == f"0/{changed}"
    save(paths[-1], CHANGE * (256 - changed))
    with pytest.raises(InputError, match="different encodings"):
        find_encoding(paths)


def test_a_threshold_that_no_mask_reaches_raises(tmp_path):
    with pytest.raises(InputError, match=r"one\.png: .* no mask has values near 255"):
        find_encoding([save(tmp_path / "empty.png", CHANGE * 0), save(tmp_path / "one.png", CHANGE)], MaskEncoding.THRESHOLD)


def test_unreadable_masks_are_named_together(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("no image")
    with pytest.raises(InputError, match=r"(?s)a\.png: not a readable image.*b\.png: not a readable image"):
        find_encoding([tmp_path / "a.png", save(tmp_path / "c.png", CHANGE), tmp_path / "b.png"])


@pytest.mark.parametrize("text", ["0/1/255/7/8", "threshold", "0/255"])
def test_encodings_are_values_of_configs(text):
    assert DataCfg("x", mask_encoding=text).encoding == MaskEncoding(text)
    with pytest.raises(ConfigError, match="mask_encoding must be"):
        MaskEncoding(f"{text}/")


def test_pixels_without_a_label_reach_neither_losses_nor_scores(pair_folder, tiny):
    import torch

    from cdzoo.engine.run import score_model
    from cdzoo.losses import create_loss

    root = pair_folder(4, 40, ones=1, name="set/test").parent
    for path in (root / "test" / "label").iterdir():
        mask = np.array(Image.open(path))
        mask[20:] = 255
        Image.fromarray(mask).save(path)
    data = DataCfg(str(root), mask_encoding="0/1/255")
    opened = open_data(data, ("test",))
    target = opened.splits["test"][0].target["mask"]
    assert (target[20:] == 255).all() and "50.00% of the pixels without a label" in opened.notes[0]
    scores = score_model(tiny(), "tiny", data, "test").scores
    assert scores.tp + scores.fp + scores.fn + scores.tn == 4 * 20 * 40
    logits = torch.zeros(1, 1, 40, 40)
    logits[..., 20:, :] = torch.randn(20, 40) * 9
    for loss in ("bce", "dice", "focal", "lovasz"):
        other = logits.clone()
        other[..., 20:, :] = -3
        assert torch.equal(create_loss(loss)(logits, target[None]), create_loss(loss)(other, target[None])), loss

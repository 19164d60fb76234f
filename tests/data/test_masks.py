"""Mask encodings: detected over a data set, checked in every file."""

import numpy as np
import pytest
from PIL import Image

from cdzoo.data.masks import MaskEncoding, find_encoding, read_mask
from cdzoo.errors import InputError

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

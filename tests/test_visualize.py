"""Tests of overlays, error maps and panel sheets."""

import numpy as np

from cdzoo.visualize import CHANGE_COLOR, FN_COLOR, FP_COLOR, TP_COLOR, errors, overlay, strip, to_rgb


def test_error_colors():
    picture = errors(np.array([[1, 1], [0, 0]], np.uint8), np.array([[1, 0], [1, 0]], np.uint8))
    assert [tuple(p) for p in picture.reshape(-1, 3)] == [TP_COLOR, FP_COLOR, FN_COLOR, (0, 0, 0)]


def test_overlay_tints_only_changed_pixels():
    image, mask = np.full((9, 9, 3), 100, np.uint8), np.zeros((9, 9), np.uint8)
    mask[2:7, 2:7] = 1
    picture = overlay(image, mask)
    assert (picture[mask == 0] == 100).all()
    assert tuple(picture[2, 2]) == CHANGE_COLOR, "outline"
    assert picture[4, 4, 0] > 150 and picture[4, 4, 1] < 100, "tint"


def test_to_rgb_accepts_any_number_of_bands():
    for bands in (1, 2, 3, 5):
        assert to_rgb(np.zeros((4, 4, bands), np.uint8)).shape == (4, 4, 3)


def test_strip_layout():
    panel = np.full((40, 50, 3), 7, np.uint8)
    sheet = np.asarray(strip([[panel] * 3] * 2, ["a", "b", "c"]))
    assert sheet.shape[1] == 3 * 58 + 8 and sheet.shape[0] > 2 * 48
    assert (sheet == 7).all(-1).sum() == 6 * 40 * 50

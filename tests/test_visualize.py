"""Tests of overlays, error maps and panel sheets."""

import numpy as np

from cdzoo.visualize import (
    CHANGE_COLOR,
    FN_COLOR,
    FP_COLOR,
    IGNORED_COLOR,
    TP_COLOR,
    class_picture,
    errors,
    indexed_picture,
    map_sheet,
    occurring_classes,
    overlay,
    strip,
    to_rgb,
)

COLORS = ((0, 0, 0), (10, 200, 30), (40, 50, 220))


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


def test_pictures_of_classes_have_their_colors():
    classes = np.array([[0, 1], [2, 255]], np.uint8)
    expected = np.array([[COLORS[0], COLORS[1]], [COLORS[2], IGNORED_COLOR]])
    np.testing.assert_array_equal(class_picture(classes, COLORS), expected)
    indexed = indexed_picture(classes, COLORS)
    np.testing.assert_array_equal(np.asarray(indexed), classes)
    np.testing.assert_array_equal(np.asarray(indexed.convert("RGB")), expected)


def test_overlays_of_classes_are_outlined_between_classes_and_leave_nodata():
    image, classes = np.full((9, 9, 3), 100, np.uint8), np.zeros((9, 9), np.uint8)
    classes[1:8, 1:5], classes[1:8, 5:8], classes[0] = 1, 2, 255
    picture = overlay(image, classes, colors=COLORS)
    assert (picture[0] == 100).all() and (picture[8] == 100).all()
    assert tuple(picture[4, 4]) == COLORS[1] and tuple(picture[4, 5]) == COLORS[2], "border of two classes"
    assert tuple(picture[4, 2]) == tuple(np.round(100 * 0.55 + np.array(COLORS[1]) * 0.45)), "tint"


def test_legends_have_the_classes_that_occur():
    names = [f"class {value}" for value in range(30)]
    colors = [(value, 0, 0) for value in range(30)]
    some = np.array([[3, 3, 255, 1]], np.uint8)
    assert occurring_classes([some], (names, colors)) == [("class 1", (1, 0, 0)), ("class 3", (3, 0, 0))]
    entries = occurring_classes([np.repeat(np.arange(30, dtype=np.uint8), np.arange(1, 31))[None]], (names, colors))
    assert [name for name, _ in entries] == [*names[14:], "14 others"]


def test_the_figure_of_maps_has_the_main_map_last_and_one_legend_for_equal_classes():
    image, main, further = np.full((40, 60, 3), 7, np.uint8), np.ones((40, 60), np.uint8), np.full((40, 60), 2, np.uint8)
    legend = (("none", "one", "two"), COLORS)
    sheets = []
    for names in (("main", "t1", "t2"), ("main", "t1")):
        maps = {name: main if name == "main" else further for name in names}
        sheets.append(
            np.asarray(map_sheet(image, image, maps, {**dict.fromkeys(names, legend), "main": (("0", "1"), COLORS[:2])}))
        )
    assert sheets[0].shape[1] == 5 * 68 + 8 and sheets[1].shape[1] == 4 * 68 + 8 and sheets[0].shape[0] == sheets[1].shape[0]
    row = sheets[0][40]
    assert [tuple(row[8 + 68 * panel]) for panel in range(5)] == [(7, 7, 7)] * 2 + [COLORS[2]] * 2 + [COLORS[1]]

"""Sentinel-2 reflectances: the offset of one date is told from the pixels, named, and corrected when asked for."""

import re
import warnings

import numpy as np
import pytest
import rasterio

from cdzoo.cli.main import main
from cdzoo.data.check import check_data
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.reflectance import DarkGround, dark_ground, date_offsets
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.dates import opened_dates
from cdzoo.tiling import Window

NAMES = ("B02", "B03", "B04", "B08", "B11", "B12")
AUTO = {"bands": (3, 2, 1), "tile": 128, "overlap": 32, "progress": False, "reflectance": "auto", "probability": "float32"}


def sentinel(seed=0, changed=False):
    """Return DN (150, 200, 6) without an offset: fields, a dark river under haze, a built square, a border without data."""
    rng = np.random.default_rng(seed)
    haze, field = np.array([1000, 650, 350, 250, 120, 60]), np.array([300, 500, 900, 2400, 1900, 1100])
    pixels = haze + field * rng.uniform(0.6, 1.0, (150, 200, 1)) + rng.normal(0, 15, (150, 200, 6))
    pixels[60:75] = haze + rng.normal(30, 8, (15, 200, 6))
    if changed:
        pixels[90:130, 50:110] += 1800
    pixels[:, :12] = 0
    return pixels.clip(0).round().astype(np.uint16)


def with_offset(pixels):
    return np.where((pixels == 0).all(-1, keepdims=True), 0, pixels + 1000).astype(np.uint16)


def named(path, scale=None, offset=0.0, nodata=None):
    with rasterio.open(path, "r+") as file:
        file.descriptions = NAMES
        if scale is not None:
            file.scales, file.offsets = [scale] * file.count, [offset] * file.count
        file.nodata = nodata
    return path


@pytest.fixture
def pair(raster):
    """Write a date without the offset, and one with or without it."""

    def write(offsets=(False, True), **tags):
        dates = [
            with_offset(date) if offset else date for date, offset in zip((sentinel(), sentinel(1, True)), offsets, strict=True)
        ]
        return [
            named(raster(f"{'ab'[number]}{int(offset)}.tif", date), **tags)
            for number, (date, offset) in enumerate(zip(dates, offsets, strict=True))
        ]

    return write


def predicted(detector, paths, output, **settings):
    probability = output.with_name(f"{output.stem}_p.tif")
    result = predict_scene(detector(), *paths, output, SceneCfg(**{**AUTO, **settings}), probability=probability)
    with rasterio.open(probability) as file, rasterio.open(output) as mask:
        return file.read(1), mask.read(1), mask.tags(), result


@pytest.mark.parametrize("offsets", [(False, True), (True, False), (True, True)])
def test_the_map_is_that_of_a_pair_without_the_offset(detector, pair, tmp_path, offsets):
    wanted, mask, _, _ = predicted(
        detector, pair((False, False)), tmp_path / "wanted.tif", reflectance="none", value_range=(0, 3000)
    )
    assert (mask[:, 12:] == 1).sum() == 40 * 60 and (mask[:, :12] != 255).all()
    found, mask, tags, result = predicted(detector, pair(offsets), tmp_path / "found.tif")
    np.testing.assert_allclose(found[:, 12:], wanted[:, 12:], atol=1e-3)
    assert (mask[:, :12] == 255).all() and (mask[:, 12:] != 255).all()
    stored = [("1000 to 4000" if offset else "0 to 3000") for offset in offsets]
    assert [tags["values_before"], tags["values_after"]] == stored
    assert tags["reflectance_after"] == result.reflectances[1]
    assert (
        f"reflectance 0 to 0.3, stored as {stored[1]}: {'offset 1000' if offsets[1] else 'no offset'}, as its darkest"
        in tags["reflectance_after"]
    )


def test_an_offset_of_one_date_is_named_with_both_numbers(detector, pair, tmp_path, capsys, monkeypatch):
    found = r"b1\.tif: its darkest ground has the value 10\d\d \(B12\), and that of .*a0\.tif \d\d \(B12\).*--reflectance auto"
    with pytest.warns(UserWarning, match=found):
        _, mask, tags, _ = predicted(detector, pair(), tmp_path / "c.tif", reflectance="none", value_range=(0, 3000))
    assert (mask == 1).mean() > 0.8 and "reflectance_before" not in tags  # nothing is corrected
    words = ["predict", *map(str, pair()), "-o", str(tmp_path / "d.tif"), "--bands", "[3, 2, 1]", "--reflectance", "auto"]
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    assert main(words) == 0
    assert "b1.tif: reflectance 0 to 0.3, stored as 1000 to 4000: offset 1000, as" in capsys.readouterr().out


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("offsets", [(False, False), (True, True)])
def test_equal_dates_are_not_named(detector, pair, tmp_path, offsets):
    predicted(detector, pair(offsets), tmp_path / "c.tif", reflectance="none", value_range=(0, 4000))


def test_pixels_decide_over_the_tags_of_files(pair):
    wrong = [named(path, 1e-4, -0.1) for path in pair()]
    with pytest.warns(UserWarning, match=r"a0\.tif: states an offset of -0\.1, but its pixels show: no offset"):
        with opened_dates(*wrong, (6, 6), (), SceneCfg(reflectance="auto")) as dates:
            assert [date.values for date in dates] == ["0 to 3000", "1000 to 4000"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = [named(wrong[0], 1e-4, 0.0), wrong[1]]
        with opened_dates(*right, (6, 6), (), SceneCfg(reflectance="auto", value_range=(0.1, 0.2))) as dates:
            assert [date.values for date in dates] == ["1000 to 2000", "2000 to 3000"]
        landsat = [named(path, 2.75e-5, -0.2) for path in right]
        with opened_dates(*landsat, (6, 6), (), SceneCfg(reflectance="auto")) as dates:
            assert dates[1].values == "7272.73 to 18181.8" and "as the file states" in dates[1].reflectance


def test_floating_point_reflectances(raster):
    """Some readers scale the numbers, and leave the offset."""
    paths = [
        raster(f"{name}.tif", (pixels / 10_000).astype(np.float32))
        for name, pixels in (("a", sentinel()), ("b", with_offset(sentinel())))
    ]
    with opened_dates(*paths, (6, 6), (), SceneCfg(reflectance="auto")) as dates:
        (one, valid), (two, _) = [date.read(Window(0, 0, 150, 200)) for date in dates]
    np.testing.assert_allclose(one[valid], two[valid], atol=1e-5)
    np.testing.assert_allclose(one[valid], sentinel()[valid] / 3000, atol=1e-5)
    assert not valid[:, :12].any() and valid[:, 12:].all()


def test_zero_is_not_mixed_with_data_on_another_grid(raster):
    other = rasterio.transform.from_origin(500_000.5, 5_000_000.5, 1, 1)
    paths = raster("a.tif", sentinel()), raster("b.tif", with_offset(sentinel()), transform=other)
    with opened_dates(*paths, (6, 6), (), SceneCfg(reflectance="auto")) as dates:
        pixels, valid = dates[1].read(Window(0, 0, 150, 200))
    assert pixels[valid].min() > 0 and valid[1:-1, 13:-1].all() and not valid[:, :11].any()


def test_without_dark_ground_it_cannot_be_told(raster):
    bright = np.random.default_rng(0).integers(3000, 9000, (64, 64, 3), dtype=np.uint16)
    paths = raster("a.tif", bright), raster("b.tif", bright)
    with pytest.warns(
        UserWarning, match=r"a\.tif: cannot tell .* \(darkest ground: 300\d \(band \d\)\); taken as without offset"
    ):
        with opened_dates(*paths, (3, 3), (), SceneCfg(reflectance="auto")) as dates:
            assert dates[1].values == "0 to 3000"
    paths = [named_offset(path) for path in paths]
    with pytest.warns(UserWarning, match="the offset is that of the file"):
        with opened_dates(*paths, (3, 3), (), SceneCfg(reflectance="auto")) as dates:
            assert dates[1].values == "1000 to 4000"


def named_offset(path):
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = [1e-4] * 3, [-0.1] * 3
    return path


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        ((300, 1250), (False, True)),
        ((1100, 20), (True, False)),
        ((1100, 1300), (True, True)),
        ((740, 1020), (False, None)),  # haze or sand of another day
        ((870, 1060), (None, None)),
        ((870, 1950), (False, True)),
        ((20, 930), (False, True)),  # water of atmospherically corrected products, at a reflectance below 0
        ((1060, 1870), (None, None)),  # a bright desert, or two dates with it
        ((2500, 3100), (None, None)),
    ],
)
def test_rule(levels, found):
    one, two = (DarkGround((level + 500.0, float(level))) for level in levels)
    assert date_offsets(one, two).found == found


def test_bands_without_reflectances_do_not_count():
    pixels = sentinel()
    classes = np.where(pixels[..., :1] > 0, 4, 0).astype(np.uint16)
    assert dark_ground(np.concatenate([with_offset(pixels), classes], -1)).level > 1000
    assert dark_ground(pixels[..., :1]) is None and dark_ground(pixels[:30, 12:20]) is None
    # B10, which sees no ground, is compared only if both dates have it.
    cirrus = np.full_like(classes, 8)
    one, two = (
        dark_ground(np.concatenate([pixels, cirrus], -1)),
        dark_ground(with_offset(np.concatenate([pixels, cirrus], -1))),
    )
    assert date_offsets(one, two).levels == pytest.approx((min(one.levels[:6]), min(one.levels[:6]) + 1000))


def test_settings_that_do_not_fit(raster):
    for other in ({"percentiles": (2, 98)}, {"value_range": (0, 1), "value_range_after": (0, 1)}):
        with pytest.raises(ConfigError, match="pass value_range alone"):
            SceneCfg(reflectance="auto", **other)
    path = raster("a.tif", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.tif: 8-bit values are no reflectances"):
        with opened_dates(path, path, (3, 3), (), SceneCfg(reflectance="auto")):
            pass


def test_a_check_of_data_names_pairs_whose_dates_differ(raster, tmp_path):
    for folder in ("A", "B", "label"):
        (tmp_path / folder).mkdir()
    label = np.zeros((150, 200, 1), np.uint8)
    label[90:130, 50:110] = 255
    for number, offset in enumerate((True, False)):
        raster(f"A/{number}.tif", sentinel(number))
        raster(f"B/{number}.tif", with_offset(sentinel(7)) if offset else sentinel(7 + number))
        raster(f"label/{number}.tif", label)
    (note,) = [note for note in check_data(tmp_path, progress=False).notes if "darkest ground" in note]
    assert "in 1 of 2 pairs examined" in note and re.search(r": 0 \d\d and 10\d\d\. If", note)

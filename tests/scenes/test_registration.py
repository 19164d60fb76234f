"""Shifts between the dates of a pair: measured, named, and corrected."""

import numpy as np
import pytest
import rasterio

from cdzoo.cli.main import main
from cdzoo.data.check import check_data
from cdzoo.io.registration import estimate_shift, registration_windows
from cdzoo.scenes import SceneCfg, predict_scene

SMALL = SceneCfg(tile=128, overlap=48, progress=False)


@pytest.fixture(scope="module")
def ground():
    """Return an image (420, 460, 3) with edges, of which windows are cut."""
    rng = np.random.default_rng(0)
    grass, hills = (spectrum(rng.normal(size=(420, 460)), sigma=sigma) for sigma in (1.5, 9))
    fields = spectrum(np.digitize(hills / hills.std(), [-0.7, 0, 0.7]) * 30.0, sigma=0.7)
    gray = 90 + fields + 8 * grass / grass.std()
    return np.stack([gray, gray * 0.9, gray * 0.8], -1)


def spectrum(image, x=0.0, y=0.0, sigma=0.0):
    """Move an image (H, W) by parts of pixels and blur it, both periodically."""
    rows, columns = (np.fft.fftfreq(size) for size in image.shape)
    rows = rows[:, None]
    factor = np.exp(-2j * np.pi * (rows * y + columns * x) - 2 * (np.pi * sigma) ** 2 * (rows**2 + columns**2))
    return np.fft.ifft2(np.fft.fft2(image) * factor).real


def cut(ground, x=0.0, y=0.0, seed=1, size=(320, 380)):
    """Return a window whose content lies `x` columns to the right and `y` rows below of that of `cut(ground)`, with noise."""
    moved = np.stack([spectrum(band, x, y) for band in ground.transpose(2, 0, 1)], -1)[40 : 40 + size[0], 40 : 40 + size[1]]
    noise = np.random.default_rng(seed).normal(0, 3, moved.shape)
    return (moved + noise).clip(0, 255).round().astype(np.uint8)


def measure(before, after):
    windows = registration_windows(*before.shape[:2])
    return estimate_shift((before[window], after[window]) for window in windows)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (5, 0), (-3, 4), (2.5, -1.5), (-12.3, 7.7), (30, -25)])
def test_shifts_are_measured_to_a_tenth_of_a_pixel(ground, x, y):
    found = measure(cut(ground), cut(ground, x, y, seed=2))
    assert (found.x, found.y) == (pytest.approx(x, abs=0.1), pytest.approx(y, abs=0.1))
    assert found.agreeing > found.windows / 2


def test_other_light_and_changes_do_not_matter(ground):
    after = 220 - 0.5 * cut(ground, 5, 2, seed=2)[..., ::-1].astype(np.float32)
    after[100:200, 150:290] = np.random.default_rng(3).integers(0, 255, (100, 140, 3))
    after[:60] = np.nan
    assert measure(255 - cut(ground), after).x == pytest.approx(5, abs=0.2)


def test_nothing_is_said_about_unrelated_uniform_and_small_images(ground):
    rng = np.random.default_rng(0)
    assert measure(cut(ground), rng.integers(0, 255, (320, 380, 3))) is None
    assert measure(cut(ground), np.ascontiguousarray(cut(ground)[::-1, ::-1])) is None
    assert measure(np.full((320, 380, 3), 80), np.full((320, 380, 3), 90)) is None
    assert measure(np.full((320, 380, 3), np.nan), np.full((320, 380, 3), np.nan)) is None
    assert registration_windows(50, 400) == [] and len(registration_windows(5000, 5000)) == 16


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_a_pair_shifted_by_5_pixels_is_named_and_aligned(ground, detector, raster, tmp_path, crs):
    transform = None if crs else rasterio.Affine.identity()
    after = cut(ground, 5, -3, seed=2)
    after[97:177, 155:295] = 250
    paths = raster("a.tif", cut(ground), crs, transform), raster("b.tif", after, crs, transform)
    with pytest.warns(UserWarning, match=r"b.tif: its content lies 5\.\d px to the right and (3.0|2.9|3.1) px above .* --align"):
        predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL)
    cfg = SceneCfg(tile=128, overlap=48, progress=False, align=True)
    result = predict_scene(detector(), *paths, tmp_path / "d.tif", cfg)
    with rasterio.open(result.mask) as file:
        mask, tags = file.read(1), file.tags()
    assert tags["aligned"].startswith(("5.0 px to the right", "4.9 px", "5.1 px"))
    rows, columns = np.nonzero(mask == 1)
    edges = [*np.quantile(rows, [0.02, 0.98]), *np.quantile(columns, [0.02, 0.98])]
    assert (
        edges == pytest.approx([101, 178, 152, 287], abs=3) and (mask[:, -4:] == 255).all() and (mask[10:-10, :-6] != 255).all()
    )


def test_dates_without_a_common_shift_are_not_aligned(ground, detector, raster, tmp_path):
    paths = raster("a.tif", cut(ground)), raster("b.tif", np.ascontiguousarray(cut(ground)[::-1, ::-1]))
    with pytest.warns(UserWarning, match=r"b.tif: not aligned: the places of its content in .*a.tif do not agree"):
        predict_scene(detector(), *paths, tmp_path / "d.tif", SceneCfg(tile=128, progress=False, align=True))


def test_data_check_names_shifted_pairs(ground, tmp_path, capsys):
    from PIL import Image

    for folder in ("A", "B", "label"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for number, x in enumerate((0, 6, 0)):
        mask = np.zeros((160, 160), np.uint8)
        mask[10:20, 10:20] = 255
        images = (cut(ground, size=(160, 160)), cut(ground, x, seed=number, size=(160, 160)), mask)
        for folder, image in zip(("A", "B", "label"), images, strict=True):
            Image.fromarray(image).save(tmp_path / "set" / folder / f"p{number}.png")
    (note,) = [note for note in check_data(tmp_path / "set", progress=False).notes if "px" in note]
    assert "in 1 of 3 pairs examined" in note and "p1 6.0 px to the right" in note
    assert main(["data", "check", str(tmp_path / "set")]) == 0 and "p1 6.0 px to the right" in capsys.readouterr().out

"""Cloud masks: pixels without data by SCL or another raster, on its own grid."""

import numpy as np
import pytest
import rasterio

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes import SceneCfg, predict_scene, predict_series

CFG = SceneCfg(progress=False)
LEFT, TOP = 500_000, 5_000_000


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def at(left, top, step):
    return rasterio.transform.from_origin(LEFT + left, TOP - top, step, step)


def classes(rng, height, width):
    """Return classes of SCL in blocks of 5 x 5."""
    return rng.integers(0, 12, (-(-height // 5), -(-width // 5)), dtype=np.uint8).repeat(5, 0).repeat(5, 1)[:height, :width]


def nearest(pixels, left, top, step, shape=(300, 410)):
    """Return the pixels of a north-up raster that hold the centers of those of the scene; 0 outside."""
    rows, columns = (
        np.floor((np.arange(side) + 0.5 - start) / step).astype(int) for side, start in zip(shape, (top, left), strict=True)
    )
    inside = [(index >= 0) & (index < side) for index, side in zip((rows, columns), pixels.shape, strict=True)]
    found = pixels[np.clip(rows, 0, pixels.shape[0] - 1)[:, None], np.clip(columns, 0, pixels.shape[1] - 1)]
    return np.where(inside[0][:, None] & inside[1], found, 0)


@pytest.fixture
def pair(scene, raster):
    return [raster(f"{name}.tif", image) for name, image in zip("ab", scene, strict=False)]


def test_masked_pixels_of_both_dates_have_no_data(detector, scene, pair, raster, tmp_path):
    rng = np.random.default_rng(1)
    # Of 4 m and 3 m, begins elsewhere, and does not cover the last columns of the scene.
    scl, other = classes(rng, 90, 90), (rng.random((120, 150)) < 0.1).astype(np.uint8) * 7
    first = raster("T31_20240101_SCL_20m.tif", scl[..., None], transform=at(-7, -2, 4), nodata=0)
    second = raster("clouds.tif", other[..., None], transform=at(0, -5, 3), nodata=0)
    plain = predict_scene(detector(), *pair, tmp_path / "plain.tif", CFG)
    result = predict_scene(detector(), *pair, tmp_path / "map.tif", CFG, mask_before=first, mask_after=second)
    masked = np.isin(nearest(scl, -7, -2, 4), (0, 1, 3, 8, 9, 10))
    # Pixels of the scene right of 4 m x 90 are not covered by the first mask; the second one covers all of it.
    assert masked[:, 360:].all() and not masked.all()
    masked |= nearest(other, 0, -5, 3) != 0
    found, expected = read(result.mask), np.where(masked, 255, read(plain.mask))
    np.testing.assert_array_equal(found, expected)
    assert (result.pixels, result.changed) == ((~masked).sum(), (expected == 1).sum())
    with rasterio.open(result.mask) as file:
        assert file.tags()["mask_before"].startswith("T31_20240101_SCL_20m.tif, values 0, 1, 3, 8, 9, 10: ")
        assert file.tags()["mask_after"].startswith("clouds.tif, values all but 0: ") and len(result.masks) == 2


def test_values_are_chosen_and_the_content_of_a_mask_counts(detector, pair, raster, tmp_path):
    values = np.random.default_rng(2).integers(0, 4, (300, 410, 1), dtype=np.uint8)
    mask, output = raster("cloud.tif", values), tmp_path / "map.tif"
    cfg = SceneCfg(progress=False, mask_values=(2, 3))
    predict_scene(detector(), *pair, output, cfg, mask_before=mask)
    np.testing.assert_array_equal(read(output) == 255, values[..., 0] >= 2)
    again = {"mask_before": mask, "skip_finished": True}
    assert predict_scene(detector(), *pair, output, cfg, **again).finished
    raster("cloud.tif", 3 - values)
    assert not predict_scene(detector(), *pair, output, cfg, **again).finished
    np.testing.assert_array_equal(read(output) == 255, values[..., 0] <= 1)
    assert not predict_scene(detector(), *pair, output, cfg, skip_finished=True).finished and not (read(output) == 255).any()


def test_a_mask_moves_with_the_date_that_is_aligned(detector, raster, tmp_path):
    rng = np.random.default_rng(3)
    ground = rng.integers(40, 200, (56, 72, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    clouds = np.zeros(ground.shape[:2], np.uint8)
    clouds[100:160, 200:280] = 1
    window = slice(20, 320), slice(20, 420)
    moved = slice(14, 314), slice(16, 416)  # 6 rows down and 4 columns to the right
    before, after = raster("a.tif", ground[window]), raster("b.tif", ground[moved])
    mask, output = raster("m.tif", clouds[moved][..., None]), tmp_path / "map.tif"
    predict_scene(detector(), before, after, output, SceneCfg(align=True, progress=False), mask_after=mask)
    wrong = (read(output) == 255) != (clouds[window] == 1)
    inner = wrong[10:-10, 10:-10]
    assert inner.sum() <= 2 * (60 + 80)  # at most a pixel along its border


def test_masks_that_do_not_fit(detector, pair, raster, tmp_path):
    zeros = np.zeros((300, 410, 1), np.uint8)
    for name, pixels, options, message in (
        ("far.tif", zeros, {"transform": at(5000, 0, 1)}, r"far\.tif: does not overlap the first image"),
        ("two.tif", zeros.repeat(2, 2), {}, r"two\.tif: 2 bands; a mask has one"),
        ("none.tif", zeros, {"crs": None}, r"none\.tif: has coordinates without a coordinate reference system, but"),
    ):
        with pytest.raises(InputError, match=message):
            predict_scene(detector(), *pair, tmp_path / "map.tif", CFG, mask_before=raster(name, pixels, **options))
    clear = raster("clear.tif", zeros)
    with pytest.raises(InputError, match=r"clear\.tif"):
        predict_scene(detector(), *pair, clear, CFG, mask_before=clear)


def test_commands_take_masks(detector, scene, pair, raster, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    monkeypatch.chdir(tmp_path)
    clouds = np.zeros((300, 410, 1), np.uint8)
    clouds[:30] = 9
    raster("scl.tif", clouds)
    options = ["--mask-values", "9"]
    assert main(["predict", "a.tif", "b.tif", "-o", "map.tif", "--mask-after", "scl.tif", *options]) == 0
    assert "mask scl.tif, values 9: 10.0% without data" in capsys.readouterr().out
    (tmp_path / "list.csv").write_text("before,after,output,mask_after\na.tif,b.tif,listed.tif,scl.tif\nb.tif,a.tif,back.tif,\n")
    assert main(["predict", "--manifest", "list.csv", *options]) == 0
    np.testing.assert_array_equal(read("listed.tif"), read("map.tif"))
    assert (read("map.tif") == 255).sum() == 30 * 410 and not (read("back.tif") == 255).any()
    assert main(["predict", "a.tif", "b.tif", "-o", "map.png", "--mask-after", "scl.tif"]) != 0
    assert "--mask-after is for maps of scenes" in capsys.readouterr().err
    with pytest.raises(InputError, match="1 masks for 3 images"):
        predict_series(detector(), [*pair, raster("c.tif", scene[1])], "series.tif", CFG, masks=["scl.tif"])
    # The last image of the series has clouds, so that its change is confirmed by the one before it.
    series = ["predict", "--series", "a.tif", "b.tif", "c.tif", "-o", "series.tif", *options]
    assert main([*series, "--masks", "-", "-", "scl.tif"]) == 0
    assert (read("series.tif")[30:] == scene[2][30:]).all() and not (read("series.tif") == 255).all()

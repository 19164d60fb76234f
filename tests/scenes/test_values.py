"""What the numbers of two dates mean: depth, scale and offset, alpha, selected bands, and pixels without data."""

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.predict import predict_pair
from cdzoo.io.rasters import is_color
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.dates import opened_dates
from cdzoo.scenes.raster import RasterSource
from cdzoo.tiling import Window

WHOLE = Window(0, 0, 64, 64)
SHIFTED = from_origin(500_000.5, 5_000_000.5, 1, 1)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(20, 120, (64, 64, 3), dtype=np.uint8)


def scaled(path, scale, offset):
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = [scale] * file.count, [offset] * file.count
    return path


def opened(paths, **settings):
    with opened_dates(*paths, (3, 3), (), SceneCfg(**settings)) as dates:
        return [date.read(WHOLE)[0] for date in dates]


@pytest.mark.parametrize(("dtype", "factor"), [(np.uint16, 257), (np.float32, 1 / 255), (np.int32, 1000), (np.int16, 39)])
def test_dates_of_other_depths_need_a_range_each(raster, picture, dtype, factor):
    paths = raster("a.tif", picture), raster("b.tif", (picture * np.float64(factor)).astype(dtype))
    with pytest.raises(InputError, match=r"b\.tif: .*values, but .*a\.tif has uint8 values.*--value-range-after"):
        opened(paths, value_range=(0, 255 * factor))
    one, two = opened(paths, value_range=(0, 255), value_range_after=(0, 255 * factor))
    np.testing.assert_allclose(one, two, atol=0.01)
    one, two = opened(paths, percentiles=(2, 98))
    np.testing.assert_allclose(one, two, atol=0.03)


def test_dates_of_other_scales_need_a_range_each(raster, picture):
    def product(name, scale, offset):
        return scaled(raster(name, ((picture / 255 - offset) / scale).round().astype(np.uint16)), scale, offset)

    paths = product("a.tif", 1e-4, 0.0), product("b.tif", 2.75e-5, -0.2)
    with pytest.raises(InputError, match=r"b\.tif: .*scale 2\.75e-05 and offset -0\.2, but .*a\.tif.*scale 0\.0001"):
        opened(paths, value_range=(0, 10_000))
    one, two = opened(paths, value_range=(0, 10_000), value_range_after=(7273, 43_636))
    np.testing.assert_allclose(one, two, atol=0.01)
    with pytest.warns(UserWarning, match="counts stored numbers"):
        opened((paths[0], paths[0]), value_range=(0, 10_000))
    with pytest.raises(InputError, match=r"a\.tif: .* none of them in the range of values 0 to 0\.4"):
        opened((paths[0], paths[0]), value_range=(0, 0.4))


def test_pictures_of_other_depths_are_refused(detector, raster, picture):
    paths = raster("a.tif", picture), raster("b.tif", picture.astype(np.uint16) * 257)
    with pytest.raises(InputError, match=r"b\.tif: 16-bit integer values, but .*a\.tif has uint8 values"):
        predict_pair(detector(), *paths, value_range=(0, 65_535))


@pytest.mark.parametrize("transform", [None, SHIFTED], ids=["own_grid", "resampled"])
def test_a_band_called_alpha_is_said_and_may_be_ignored(raster, picture, transform):
    infrared = np.full((64, 64, 1), 90, np.uint8)
    infrared[:, :32] = 0
    path = raster("b.tif", np.concatenate([picture, infrared], 2))
    with RasterSource(raster("a.tif", picture, transform=transform), 3) as first:
        grid = first.grid
    with pytest.warns(UserWarning, match=r"b\.tif: band 4 is taken as alpha"), RasterSource(path, 3, grid) as source:
        assert not source.read(WHOLE)[1][:, :30].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bands, options in (
            (3, {"alpha": False, "indexes": (1, 2, 3)}),
            (4, {"alpha": False}),
            (4, {"indexes": (1, 2, 3, 4)}),
        ):
            with RasterSource(path, bands, grid, **options) as source:
                pixels, valid = source.read(WHOLE)
                assert valid[2:, 2:-1].all() and pixels.shape[2] == bands and (bands == 3 or pixels[10, 60, 3] == 90)
        with RasterSource(path, 3, grid, alpha=True) as source:
            assert not source.read(WHOLE)[1][:, :30].any()


def test_bands_are_selected_in_their_order(raster, picture):
    path = raster("a.tif", np.concatenate([picture, picture], 2))
    with RasterSource(path, 3, indexes=(6, 1, 1)) as source:
        np.testing.assert_array_equal(source.read(WHOLE)[0], picture[..., [2, 0, 0]])
    with pytest.raises(InputError, match=r"a\.tif: no band 7"):
        RasterSource(path, 3, indexes=(5, 6, 7))
    with pytest.raises(InputError, match=r"a\.tif: .*6 band\(s\), expected 3.*--bands"):
        RasterSource(path, 3)


def test_bands_per_date(detector, raster, picture, tmp_path):
    after = picture[..., ::-1].copy()
    paths = raster("a.tif", picture), raster("b.tif", np.concatenate([after, after], 2))
    cfg = SceneCfg(tile=64, overlap=0, progress=False, bands=(1, 2, 3), bands_after=(3, 2, 1))
    assert predict_scene(detector(), *paths, tmp_path / "c.tif", cfg).changed == 0
    with pytest.raises(ConfigError):
        SceneCfg(bands=(0, 1))


@pytest.mark.parametrize("transform", [None, SHIFTED], ids=["own_grid", "resampled"])
@pytest.mark.parametrize(
    ("dtype", "nodata", "known"),
    [("float32", -9999, False), ("int16", -9999, False), ("uint16", 65535, False), ("uint16", 0, True), ("uint8", 0, True)],
)
def test_nodata_in_one_band(raster, picture, transform, dtype, nodata, known):
    pixels = picture.astype(dtype)
    pixels[:20, :20, 1] = nodata
    pixels[40:, 40:] = nodata
    with RasterSource(raster("a.tif", picture, transform=transform), 3) as first:
        grid = first.grid
    with RasterSource(raster("b.tif", pixels, nodata=nodata), 3, grid, value_range=(0, 255)) as source:
        found, valid = source.read(WHOLE)
    assert valid[2:18, 2:18].all() == known and valid[2:18, 2:18].any() == known
    assert valid[25:38, 25:38].all() and not valid[43:, 43:].any()
    assert found[valid].min() >= 0 and found[valid].max() < 0.5, "numbers of nodata are mixed with data"
    assert is_color(dtype, nodata) == known


def test_values_beyond_the_range_are_not_cut(raster, picture):
    with RasterSource(raster("a.tif", picture.astype(np.float32)), 3, value_range=(20, 60)) as source:
        pixels = source.read(WHOLE)[0]
        np.testing.assert_allclose(pixels, (picture - 20.0) / 40, rtol=1e-6)
        assert pixels.max() > 1.5 and source.overview((8, 8))[0].max() <= 1


def test_types_without_an_order_are_refused(raster, picture):
    with pytest.raises(InputError, match=r"a\.tif: complex64 values"):
        RasterSource(raster("a.tif", picture.astype(np.complex64)), 3, value_range=(0, 255))

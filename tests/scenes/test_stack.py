"""Both dates as the bands of one raster."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes import SceneCfg
from cdzoo.scenes.stack import stack_dates

RNG = np.random.default_rng(0)


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.descriptions, file.profile, [meaning.name for meaning in file.colorinterp]


@pytest.mark.parametrize("bands", [1, 2, 3, 6])
def test_pixels_names_and_grid_are_those_of_the_dates(raster, tmp_path, bands):
    a, b = (RNG.integers(0, 256, (70, 90, bands), dtype=np.uint8) for _ in range(2))
    names = stack_dates(raster("a.tif", a), raster("b.tif", b), tmp_path / "stack.tif")
    found, described, profile, meanings = read(tmp_path / "stack.tif")
    np.testing.assert_array_equal(found, np.concatenate([a, b], -1).transpose(2, 0, 1))
    assert list(described) == names == [f"t{date}_{band}" for date in (1, 2) for band in range(1, bands + 1)]
    assert profile["crs"] == "EPSG:32633" and profile["transform"] == from_origin(500_000, 5_000_000, 1, 1)
    assert profile["dtype"] == "uint8" and profile["nodata"] is None and "alpha" not in meanings and "red" not in meanings


def test_deep_values_are_scaled_and_pixels_without_data_are_zero_in_all_bands(raster, tmp_path):
    a, b = (RNG.integers(500, 4000, (64, 64, 2), dtype=np.uint16) for _ in range(2))
    a[3, 4], b[10, 11] = 0, 0
    files = raster("a.tif", a, nodata=0), raster("b.tif", b, nodata=0)
    with pytest.raises(InputError, match="--value-range"):
        stack_dates(*files, tmp_path / "stack.tif")
    assert not (tmp_path / "stack.tif").exists()
    stack_dates(*files, tmp_path / "stack.tif", SceneCfg(value_range=(1000, 3000), value_range_after=(500, 4000)))
    found = read(tmp_path / "stack.tif")[0]
    scaled = [(np.clip((x - low) / (high - low), 0, 1) * 255).round() for x, low, high in ((a, 1000.0, 3000), (b, 500.0, 4000))]
    expected = np.concatenate(scaled, -1).transpose(2, 0, 1)
    expected[:, 3, 4] = expected[:, 10, 11] = 0
    assert np.abs(found.astype(int) - expected).max() <= 1 and (found == expected).mean() > 0.999  # float32 rounds a few
    assert not found[:, 3, 4].any() and not found[:, 10, 11].any()


def test_the_second_date_is_resampled_to_the_first(raster, tmp_path):
    """A plane is interpolated exactly, so its value tells the place."""
    x = np.mgrid[0:200, 0:200][1]
    plane = lambda step, shift: np.uint8((x * step + shift) / 2)[..., None]  # noqa: E731
    before = raster("a.tif", plane(1, 0)[:100, :150])
    after = raster("b.tif", plane(2, 10), transform=from_origin(500_010, 5_000_000, 2, 2))
    stack_dates(before, after, tmp_path / "stack.tif")
    first, second = read(tmp_path / "stack.tif")[0].astype(int)
    assert first.shape == (100, 150) and not second[:, :9].any() and not first[:, :9].any()  # not covered
    assert np.abs(first - second)[:, 12:].max() <= 1


def test_blocks_of_a_large_raster(raster, tmp_path, monkeypatch):
    monkeypatch.setattr("cdzoo.scenes.stack._STEP", 64)
    a, b = (RNG.integers(0, 256, (150, 700, 1), dtype=np.uint8) for _ in range(2))
    stack_dates(raster("a.tif", a), raster("b.tif", b), tmp_path / "stack.tif")
    np.testing.assert_array_equal(read(tmp_path / "stack.tif")[0], np.stack([a[..., 0], b[..., 0]]))
    with rasterio.open(tmp_path / "stack.tif") as file:
        assert file.overviews(1) == [2]


def test_command(raster, tmp_path, capsys):
    a, b = (str(raster(name, RNG.integers(1, 256, (40, 50, 4), dtype=np.uint8))) for name in ("a.tif", "b.tif"))
    target = str(tmp_path / "s.tif")
    assert main(["stack", a, b, "-o", target, "--bands", "[3, 2, 1]"]) == 0
    assert "6 bands, t1_1, t1_2, t1_3, t2_1" in capsys.readouterr().out
    with rasterio.open(target) as found, rasterio.open(a) as source:
        np.testing.assert_array_equal(found.read([1, 2, 3]), source.read([3, 2, 1]))
        assert found.tags()["before"] == "a.tif" and found.tags()["values_after"] == "0 to 255"
    assert main(["stack", a, b, "-o", a]) == 2 and "is the input" in capsys.readouterr().err
    assert main(["stack", a, b, "-o", str(tmp_path / "s.png")]) == 2 and "GeoTIFF" in capsys.readouterr().err

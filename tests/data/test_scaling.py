"""Scaling of values of each date: ranges, percentiles and decibels, stated in the config."""

import dataclasses

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from cdzoo.data.check import check_data
from cdzoo.data.config import DataCfg
from cdzoo.data.open import open_data
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.scaling import Scaling
from cdzoo.scenes.raster import RasterSource
from cdzoo.tiling import Window


@pytest.fixture
def radar_folder(tmp_path):
    """Write pairs of an optical image of 8 bits and of radar intensities in float32, with zeros and pixels without data."""
    rng = np.random.default_rng(0)
    for index in range(3):
        for folder in ("A", "B", "label"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(tmp_path / "A" / f"{index}.png")
        radar = rng.gamma(1, 0.05, (40, 48)).astype(np.float32)
        radar[0, :4], radar[1, :4] = 0, -9999
        profile = {"driver": "GTiff", "height": 40, "width": 48, "count": 1, "dtype": "float32", "nodata": -9999}
        with rasterio.open(tmp_path / "B" / f"{index}.tif", "w", transform=rasterio.Affine.scale(2), **profile) as file:
            file.write(radar, 1)
        mask = np.zeros((40, 48), np.uint8)
        mask[5:20, 5:20] = 255
        Image.fromarray(mask).save(tmp_path / "label" / f"{index}.png")
    return tmp_path


def read(root, **options):
    """Return the first sample of optical and radar images, and the stored radar values."""
    sample = open_data(DataCfg(str(root), **options), ("all",), (3, 1)).splits["all"][0]
    with rasterio.open(root / "B" / "0.tif") as file:
        return sample, file.read(1)


def test_a_range_of_decibels_of_the_second_date(radar_folder):
    sample, stored = read(radar_folder, value_range_after=(-25.0, 0.0), decibels="after")
    optical, radar = sample.images
    expected = ((10 * np.log10(np.where(stored > 0, stored, 1e-9)) + 25) / 25).clip(0, 1)
    assert optical.dtype == torch.uint8 and radar.dtype == torch.float32 and radar.shape == (1, 40, 48)
    assert np.allclose(radar[0].numpy(), expected, atol=1e-6) and (radar[0, 0, :4] == 0).all()
    assert (sample.target["mask"][1, :4] == 255).all() and (sample.target["mask"][0, :4] == 0).all()


@pytest.mark.parametrize("decibels", [None, "after"])
def test_percentiles_of_each_image(radar_folder, decibels):
    sample, stored = read(radar_folder, percentiles_after=(2.0, 98.0), decibels=decibels)
    used = stored[stored > 0] if decibels else stored[stored > -9999]
    used, given = (10 * np.log10(each) if decibels else each for each in (used, stored[5:, 5:]))
    low, high = np.percentile(used, (2, 98))
    assert np.allclose(sample.images[1][0, 5:, 5:].numpy(), ((given - low) / (high - low)).clip(0, 1), atol=1e-5)
    assert sample.images[0].dtype == torch.uint8


@pytest.mark.parametrize(
    "options",
    [
        {"value_range": (0.0, 0.3)},
        {"value_range": (-20.0, -5.0), "decibels": True},
        {"percentiles": (2.0, 98.0), "decibels": True},
    ],
)
def test_training_and_scenes_scale_alike(radar_folder, options):
    path = radar_folder / "B" / "0.tif"
    pixels, valid = Scaling(**options).read(path, 1)
    with RasterSource(path, 1, None, **options) as source:
        scene, scene_valid = source.read(Window(0, 0, 40, 48))
    assert np.array_equal(valid, scene_valid) and np.array_equal(pixels[valid], scene.reshape(40, 48, 1)[valid])


def test_decibels_beside_pictures_are_told(radar_folder):
    with pytest.raises(InputError, match=r"one range of values does not fit both; bring them to one"):
        read(radar_folder)
    assert any("one range of values does not fit both" in text for text in check_data(str(radar_folder), False).problems)
    for file in sorted((radar_folder / "B").iterdir()):
        with rasterio.open(file, "r+") as raster:
            stored = raster.read(1)
            raster.write(np.where(stored > 0, 10 * np.log10(stored.clip(1e-6)), -9999).astype(np.float32), 1)
    sample, stored = read(radar_folder)
    assert sample.images[0].dtype == torch.uint8
    assert np.allclose(sample.images[1][0, 5:].numpy(), (stored[5:] + 25) / 25, atol=1e-5)
    report = check_data(str(radar_folder), False)
    assert not report.problems and any("after: float32, read as decibels of radar" in note for note in report.notes)


def test_dates_of_other_depths_need_a_range_of_their_own(radar_folder):
    with pytest.raises(InputError, match="one range of values does not fit both"):
        read(radar_folder, value_range=(0.0, 1.0))
    sample, _ = read(radar_folder, value_range=(0.0, 255.0), value_range_after=(0.0, 0.5))
    assert sample.images[0].max() <= 1 and sample.images[1].max() > 0.2


def test_both_dates_have_the_same_scaling_by_default():
    first, second = DataCfg("x", percentiles=(1.0, 99.0), decibels="both").scalings
    assert first == second == Scaling(percentiles=(1.0, 99.0), decibels=True)
    cfg = DataCfg("x", percentiles=(1.0, 99.0), value_range_after=(0.0, 255.0))
    assert cfg.scalings == (Scaling(percentiles=(1.0, 99.0)), Scaling((0.0, 255.0)))
    assert DataCfg(**dataclasses.asdict(cfg)) == cfg


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decibels": "after"}, "decibels need what maps to 0 and 1"),
        ({"value_range": (0.0, 1.0), "percentiles": (2.0, 98.0)}, "pass value_range or percentiles for a date"),
        ({"value_range_after": (0.0, 1.0), "percentiles_after": (2.0, 98.0)}, "value_range_after or percentiles_after"),
        ({"percentiles": (98.0, 2.0)}, "two ascending numbers from 0 to 100"),
        ({"value_range_after": (1.0, 0.0)}, "value_range_after must be"),
        ({"decibels": "second"}, "decibels"),
    ],
)
def test_contradictory_scalings_raise(options, message):
    with pytest.raises(ConfigError, match=message):
        DataCfg("x", **options)


def test_an_image_of_one_value_has_no_percentiles(tmp_path):
    Image.new("L", (40, 40), 7).save(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x\.png: the percentiles 2 and 98 of a band are equal"):
        Scaling(percentiles=(2.0, 98.0)).read(tmp_path / "x.png", 1)

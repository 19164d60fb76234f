"""Ranges of values that are told from the numbers of both dates, said out loud, or asked for."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.dates import opened_dates
from cdzoo.tiling import Window

SIDE = 64


def reflectance(seed=0, brightest=6000, bands=4):
    """Return reflectances x 10,000: fields, dark water, and a few bright roofs."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(600, 2500, (SIDE, SIDE, bands))
    pixels[:8] = rng.uniform(150, 250, (8, SIDE, bands))
    pixels[40:44, 40:44] = brightest
    return pixels.round()


def radar(seed=0):
    """Return intensities (H, W, 1) of radar with speckle."""
    return np.random.default_rng(seed).gamma(1, 0.08, (SIDE, SIDE, 1))


def written(raster, name, pixels, dtype, names=(), scale=None, offset=0.0):
    path = raster(name, pixels.astype(dtype))
    with rasterio.open(path, "r+") as file:
        file.descriptions = names or file.descriptions
        if scale is not None:
            file.scales, file.offsets = [scale] * file.count, [offset] * file.count
    return path


SENTINEL = ("B02", "B03", "B04", "B08")
TOLD = {
    "names": (reflectance(0, 3000), "uint16", {"names": SENTINEL}, "reflectance x 10,000, from 0 to 3000 (named as Sentinel-2)"),
    "bright": (
        reflectance(),
        "uint16",
        {},
        "reflectance x 10,000, from 0 to 3000 (4 bands with dark ground and more than 12 bits)",
    ),
    "floating point": (reflectance() / 10_000, "float32", {"names": SENTINEL}, "reflectance, from 0 to 0.3 (named as Sentinel-2"),
    "pictures": (reflectance() / 10_000, "float32", {}, "values, from 0 to 1 (floating point of about 0 to 1)"),
    "Landsat": (
        reflectance() / 0.275 + 7273,
        "uint16",
        {"scale": 2.75e-5, "offset": -0.2},
        "reflectance, from 7272.73 to 18181.8 (the file states scale 2.75e-05 and offset -0.2)",
    ),
    "decibels": (10 * np.log10(radar()), "float32", {}, "decibels of radar, from -25 to 0 (negative floating point)"),
    "intensities": (radar(), "float32", {"names": ("VV",)}, "linear intensities of radar, from -25 to 0 dB (named as radar)"),
}


@pytest.mark.parametrize("kind", TOLD)
def test_what_numbers_mean_is_told_and_said(raster, kind):
    pixels, dtype, options, text = TOLD[kind]
    paths = [written(raster, f"{name}.tif", pixels, dtype, **options) for name in "ab"]
    with pytest.warns(UserWarning, match="change with --value-range$") as caught:
        with opened_dates(*paths, (None, None), (), SceneCfg()) as dates:
            found = dates[0].read(Window(0, 0, SIDE, SIDE))[0]
    (said,) = [str(one.message) for one in caught if "read as" in str(one.message)]
    assert said.startswith(f"a.tif, b.tif: {dtype}, read as {text}")
    low, high = dates[0].scaling
    stored = rasterio.open(paths[0]).read().transpose(1, 2, 0)
    values = 10 * np.log10(stored) if kind == "intensities" else stored
    expected = (values - low) / (high - low)
    np.testing.assert_allclose(found, expected.clip(0, 1) if kind == "intensities" else expected, atol=1e-5)


UNTOLD = {
    "12 bits": (reflectance(0, 4000), "uint16", {}),
    "one band": (reflectance(0, 6000, 1), "uint16", {}),
    "16 bits": (reflectance() * 10, "uint16", {}),
    "no dark ground": (reflectance() + 3000, "uint16", {}),
    "dark floating point of one band": (radar(), "float32", {}),
    "centered": (np.random.default_rng(0).normal(0, 1, (SIDE, SIDE, 3)), "float32", {}),
    "heights": (reflectance(0, 900, 1) / 10, "float32", {}),
    "other scales": (reflectance(), "uint16", {"scale": 0.01}),
    "radar of numbers": (reflectance(0, 900, 1), "uint16", {"names": ("VH",)}),
}


@pytest.mark.parametrize("kind", UNTOLD)
def test_other_numbers_are_asked_for(raster, kind):
    pixels, dtype, options = UNTOLD[kind]
    path = written(raster, "a.tif", pixels, dtype, **options)
    with pytest.raises(InputError, match=rf"a\.tif: {dtype} values; pass the \(min, max\).* --value-range"):
        with opened_dates(path, path, (None, None), (), SceneCfg()):
            pass


def test_dates_are_told_together(raster):
    dark, bright = (written(raster, f"{n}.tif", reflectance(n, top), "uint16") for n, top in ((1, 3000), (2, 7000)))
    with pytest.warns(UserWarning, match=r"1\.tif, 2\.tif: uint16, read as reflectance x 10,000, from 0 to 3000"):
        with opened_dates(dark, bright, (None, None), (), SceneCfg()) as dates:
            assert dates[0].values == dates[1].values == "0 to 3000"
    shifted = [written(raster, f"{n}.tif", reflectance(n) + 1000, "uint16", SENTINEL) for n in (1, 2)]
    with pytest.warns(UserWarning, match="from 1000 to 4000 .both dates have the offset of 1000 of Sentinel-2"):
        with opened_dates(*shifted, (None, None), (), SceneCfg()) as dates:
            assert dates[0].values == dates[1].values == "1000 to 4000"
    # One date with the offset: one range for both, and the note about the offset comes with the map.
    mixed = [written(raster, f"{n}.tif", reflectance(n) + 1000 * n, "uint16", SENTINEL) for n in (0, 1)]
    with pytest.warns(UserWarning, match="from 0 to 3000"), opened_dates(*mixed, (None, None), (), SceneCfg()) as dates:
        assert dates[0].values == dates[1].values == "0 to 3000"
    halves = [written(raster, f"{n}.tif", reflectance() / top, "float32") for n, top in ((3, 10_000), (4, 40))]
    with pytest.raises(InputError, match=r"--value-range"), opened_dates(*halves, (None, None), (), SceneCfg()):
        pass


def test_optical_and_radar_have_ranges_of_their_own(raster):
    optical = raster("a.tif", (reflectance() / 25).clip(0, 255).astype(np.uint8))
    decibels = written(raster, "b.tif", 10 * np.log10(radar()), "float32")
    with pytest.warns(UserWarning, match=r"^b\.tif: float32, read as decibels.*change with --value-range-after$"):
        with opened_dates(optical, decibels, (None, None), (), SceneCfg()) as dates:
            assert [date.values for date in dates] == ["0 to 255", "-25 to 0"]


def test_a_given_range_is_taken_and_nothing_is_said(detector, raster, tmp_path, recwarn):
    paths = [written(raster, f"{name}.tif", reflectance(seed, bands=3), "uint16") for seed, name in enumerate("ab")]
    predict_scene(detector(), *paths, tmp_path / "map.tif", SceneCfg(value_range=(0, 5000), progress=False))
    assert not [one for one in recwarn if "read as" in str(one.message)]
    with pytest.warns(UserWarning, match="read as reflectance x 10,000"):
        predict_scene(detector(), *paths, tmp_path / "map.tif", SceneCfg(progress=False))
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["values_before"] == file.tags()["values_after"] == "0 to 3000"


def test_maps_are_read_as_the_training_of_their_run(detector, raster, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        written(raster, f"{name}.tif", reflectance(seed), "uint16", SENTINEL)
    (tmp_path / "run").mkdir()
    data = {"data": "pairs", "value_range": [0, 5000], "bands": ["B04", "B03", "B02"], "bands_after": None, "decibels": None}
    (tmp_path / "run" / "results.json").touch()
    monkeypatch.setattr("cdzoo.results.Results.read", lambda _: SimpleNamespace(data=data))

    def tags(*options):
        assert main(["predict", "a.tif", "b.tif", "-o", "map.tif", "--model", "run", *options]) == 0
        with rasterio.open("map.tif") as file:
            return file.tags()["values_before"], capsys.readouterr().out

    values, out = tags()
    assert values == "0 to 5000" and "as in the training of run: --value-range 0 5000 --bands B04 B03 B02" in out
    assert tags("--value-range", "0", "4000")[0] == "0 to 4000"
    written(raster, "a.tif", reflectance(0, bands=3) / 25, "uint8")
    written(raster, "b.tif", reflectance(1, bands=3) / 25, "uint8")
    values, out = tags()
    assert values == "0 to 255" and "as in the training" not in out

"""Maps of scenes: values, seams, nodata, and invalid input."""

import dataclasses
import json
import os
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from known_backbones import Convolutions, Pixels
from rasterio.transform import from_origin

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.tta import MODES
from cdzoo.io.rasters import limited_cache
from cdzoo.models.preprocess import normalize_images
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.raster import RasterSource
from cdzoo.tiling import Window

SMALL = SceneCfg(tile=128, overlap=48, batch_size=3, progress=False)


def whole(model, before, after):
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None] for image in (before, after)]
    with torch.no_grad():
        return model.probabilities(model(*normalize_images(model.config, *tensors)))[0].numpy()


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def test_the_map_is_a_cog_on_the_grid_of_the_first_image(detector, raster, scene, tmp_path):
    before, after, truth = scene
    paths = raster("a.tif", before), raster("b.tif", after)
    result = predict_scene(detector(), *paths, tmp_path / "change.tif", SMALL, tmp_path / "p.tif")
    assert result.changed == truth.sum() and result.pixels == truth.size and result.resumed == 0
    with rasterio.open(result.mask) as file, rasterio.open(paths[0]) as first:
        assert (file.crs, file.transform, file.shape) == (first.crs, first.transform, first.shape)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and file.nodata == 255 and file.dtypes == ("uint8",)
        assert file.tags()["model"] == "known" and len(file.tags()["weights_sha256"]) == 64 and file.tags()["threshold"] == "0.5"
        assert str(tmp_path) not in str(file.tags())
        np.testing.assert_array_equal(file.read(1), truth)
    expected = whole(detector(), before, after)
    np.testing.assert_allclose(read(result.probability) / 200, expected, atol=0.0026)
    names = ["a.tif", "b.tif", "change.qml", "change.tif", "change.tif.aux.xml", "p.qml", "p.tif"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_large_maps_have_overviews(detector, raster, tmp_path):
    pixels = np.zeros((700, 1300, 3), np.uint8)
    predict_scene(detector(), raster("a.tif", pixels), raster("b.tif", pixels), tmp_path / "c.tif", SceneCfg(progress=False))
    with rasterio.open(tmp_path / "c.tif") as file:
        assert file.overviews(1) and file.block_shapes == [(512, 512)]


@pytest.mark.parametrize("size", [(300, 410), (129, 128), (70, 500), (128, 128), (150, 1290)])
def test_windows_equal_the_whole_image_if_the_overlap_covers_the_receptive_field(detector, raster, tmp_path, size):
    torch.manual_seed(1)
    model = detector(Convolutions())
    rng = np.random.default_rng(1)
    before, after = (rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(2))
    cfg = SceneCfg(tile=128, overlap=64, batch_size=3, probability="float32", progress=False)
    predict_scene(model, raster("a.tif", before), raster("b.tif", after), tmp_path / "c.tif", cfg, tmp_path / "p.tif")
    assert np.abs(read(tmp_path / "p.tif") - whole(model, before, after)).max() < 1e-5


@pytest.mark.slow
def test_windows_agree_with_the_whole_image_for_a_global_receptive_field(raster, tmp_path):
    """The network sees a window instead of the whole image, so the maps are similar, not equal."""
    model = cdzoo.create_model("glmamba_tiny", pretrained=True).eval()
    scene = SyntheticScenes(1, size=(640, 700), seed=11, unchanged=0)[0]
    before, after = (image.permute(1, 2, 0).numpy() for image in scene.images)
    cfg = SceneCfg(tile=384, overlap=128, progress=False)
    predict_scene(model, raster("a.tif", before), raster("b.tif", after), tmp_path / "c.tif", cfg)
    found, expected = read(tmp_path / "c.tif") == 1, whole(model, before, after) >= 0.5
    assert expected.sum() > 5000
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.95


class TestNodata:
    def test_nodata_of_either_date_is_nodata_and_does_not_spread(self, detector, raster, tmp_path, scene):
        before, after, truth = (image.copy() for image in scene)
        before[before == 0], after[after == 0] = 1, 1
        before[20:40, 20:50] = 0
        after[150:220, 280:300] = 0
        paths = raster("a.tif", before, nodata=0), raster("b.tif", after, nodata=0)
        result = predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, tmp_path / "p.tif")
        hole = (before == 0).all(-1) | (after == 0).all(-1)
        found = read(result.mask)
        assert ((found == 255) == hole).all() and ((found == 1) == (truth == 1) & ~hole).all()
        assert ((read(result.probability) == 255) == hole).all() and result.pixels == (~hole).sum()

    def test_alpha_and_nan_are_nodata(self, detector, raster, tmp_path, scene):
        before, after, _truth = scene
        alpha = np.full((*before.shape[:2], 1), 255, np.uint8)
        alpha[:30] = 0
        path = tmp_path / "a.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=300, width=410, count=4, dtype="uint8", crs="EPSG:32633",
            transform=from_origin(500_000, 5_000_000, 1, 1), photometric="RGB", alpha="YES",
        ) as file:  # fmt: skip
            file.write(np.concatenate([before, alpha], -1).transpose(2, 0, 1))
        after = (after / 255).astype(np.float32)
        after[-20:, :, 1] = np.nan
        cfg = SceneCfg(tile=128, overlap=48, percentiles=(0, 100), progress=False)
        predict_scene(detector(), path, raster("b.tif", after), tmp_path / "c.tif", cfg)
        found = read(tmp_path / "c.tif")
        assert (found[:30] == 255).all() and (found[-20:] == 255).all() and (found[30:-20] != 255).all()

    def test_a_scene_without_any_data(self, detector, raster, tmp_path):
        pixels = np.zeros((100, 100, 3), np.uint8)
        paths = raster("a.tif", pixels, nodata=0), raster("b.tif", pixels, nodata=0)
        result = predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL)
        assert result.pixels == 0 and (read(result.mask) == 255).all()


class TestDepth:
    def test_value_range_and_percentiles_scale_16_bit_rasters(self, detector, raster, tmp_path, scene):
        before, after, truth = scene
        wide = [image.astype(np.uint16) * 16 for image in (before, after)]
        paths = raster("a.tif", wide[0]), raster("b.tif", wide[1])
        with pytest.raises(InputError, match=r"uint16 values; pass the \(min, max\).*--percentiles"):
            predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL)
        for options in ({"value_range": (0, 4080)}, {"percentiles": (1, 99.9)}):
            cfg = SceneCfg(tile=128, overlap=48, progress=False, **options)
            predict_scene(detector(), *paths, tmp_path / "c.tif", cfg)
            with rasterio.open(tmp_path / "c.tif") as file:
                values = file.tags()["values_before"]
            assert (values == "0 to 4080") == ("value_range" in options) and " to " in values
            if "value_range" in options:
                np.testing.assert_array_equal(read(tmp_path / "c.tif"), truth)
        assert not list(tmp_path.glob(".*"))


def test_decoded_blocks_of_a_file_are_cached(raster, scene):
    """Neighboring windows share blocks of the file, and windows of a file stored in whole rows share all of them."""
    path = raster("a.tif", scene[0])
    with limited_cache(), RasterSource(path, 3) as source:
        left, _ = source.read(Window(0, 0, 64, 100))
        os.truncate(path, 100)
        right, _ = source.read(Window(0, 100, 64, 100))
    np.testing.assert_array_equal(np.concatenate([left, right], 1), scene[0][:64, :200])


class TestAugmentation:
    @pytest.mark.parametrize("mode", ["flips", "swap", "all"])
    def test_prediction_is_the_mean_over_the_augmented_views(self, raster, scene, tmp_path, mode):
        model = cdzoo.create_model("glmamba_tiny", pretrained=True).eval()
        before, after = (image[:96, :128] for image in scene[:2])
        cfg = SceneCfg(tile=128, overlap=32, augment=mode, probability="float32", progress=False)
        predict_scene(model, raster("a.tif", before), raster("b.tif", after), tmp_path / "c.tif", cfg, tmp_path / "p.tif")
        views = []
        for axes in ([], [0], [1], [0, 1]) if mode != "swap" else ([],):
            for first, second in ((before, after), (after, before))[: 1 if mode == "flips" else 2]:
                views.append(np.flip(whole(model, np.flip(first, axes).copy(), np.flip(second, axes).copy()), axes))
        np.testing.assert_allclose(read(tmp_path / "p.tif"), np.mean(views, axis=0), atol=1e-5)
        assert len(views) == {"flips": 4, "swap": 2, "all": 8}[mode]

    def test_dates_of_different_bands_cannot_be_swapped(self, tiny, tmp_path):
        with pytest.raises(ConfigError, match="cannot be swapped"):
            predict_scene(tiny(in_chans=(2, 3), siamese=False), "a", "b", tmp_path / "c.tif", SceneCfg(augment="swap"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 32}, "tile must be greater than or equal to 64, got 32"),
        ({"tile": 128.0}, "tile must be a valid integer"),
        ({"tiles": 128}, "SceneCfg has no field 'tiles'. Did you mean 'tile'"),
        ({"batch_size": 0}, "batch_size"),
        ({"overlap": -1}, "overlap"),
        ({"augment": "flip"}, "'flips', 'swap' or 'all', got 'flip'"),
        ({"threshold": 1.0}, "threshold must be less than 1, got 1.0"),
        ({"threshold": float("nan")}, "threshold"),
        ({"probability": "uint16"}, "probability must be 'uint8' or 'float32', got 'uint16'"),
        ({"value_range": (1, 0)}, "min < max"),
        ({"percentiles": (2, 101)}, "from 0 to 100"),
        ({"percentiles": (2, 98), "value_range": (0, 1)}, "not both"),
    ],
)
def test_invalid_settings(options, message):
    with pytest.raises(ConfigError, match=message):
        SceneCfg(**options)


class TestInputs:
    def test_rasters_that_do_not_match(self, detector, raster, scene, tmp_path):
        first = raster("a.tif", scene[0])
        elsewhere = raster("far.tif", scene[1], transform=from_origin(900_000, 5_000_000, 1, 1))
        bare = raster("bare.tif", scene[1], crs=None, transform=Affine.identity())
        small = raster("small.tif", scene[1][:100], crs=None, transform=Affine.identity())
        grey = raster("grey.tif", scene[1][..., :1])
        (tmp_path / "text.tif").write_text("no raster")
        for pair, message in (
            ((first, elsewhere), r"far\.tif: does not overlap the first image"),
            ((first, bare), r"bare\.tif: has no coordinates, but the first image has the coordinate reference system EPSG:32633"),
            ((bare, first), r"a\.tif: has the coordinate reference system EPSG:32633, but the first image has no coordinates"),
            ((bare, small), r"small\.tif: 410x100 pixels, but the first image has 410x300, and neither"),
            ((first, grey), r"grey\.tif: the raster has 1 band\(s\), expected 3"),
            ((first, tmp_path / "text.tif"), r"text\.tif: .* none of the formats that are read: GTiff"),
            ((tmp_path / "none.tif", first), r"none\.tif: no such file"),
        ):
            with pytest.raises(InputError, match=message):
                predict_scene(detector(), *pair, tmp_path / "c.tif", SMALL)
        assert not (tmp_path / "c.tif").exists()

    def test_invalid_outputs(self, detector, raster, scene, tmp_path):
        paths = raster("a.tif", scene[0]), raster("b.tif", scene[1])
        with pytest.raises(InputError, match="is a GeoTIFF"):
            predict_scene(detector(), *paths, tmp_path / "c.png", SMALL)
        with pytest.raises(InputError, match="there is no folder"):
            predict_scene(detector(), *paths, tmp_path / "none" / "c.tif", SMALL)

    def test_plain_rasters_of_one_size_need_no_coordinates(self, detector, raster, scene, tmp_path):
        paths = [raster(n, i, crs=None, transform=Affine.identity()) for n, i in (("a.tif", scene[0]), ("b.tif", scene[1]))]
        predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL)
        np.testing.assert_array_equal(read(tmp_path / "c.tif"), scene[2])

    def test_other_numbers_of_bands(self, detector, raster, scene, tmp_path):
        four = [np.concatenate([image, image[..., :2]], -1) for image in scene[:2]]
        predict_scene(detector(Pixels(5)), raster("a.tif", four[0]), raster("b.tif", four[1]), tmp_path / "c.tif", SMALL)
        np.testing.assert_array_equal(read(tmp_path / "c.tif"), scene[2])

    def test_bands_other_than_those_of_the_weights(self, raster, scene, tmp_path):
        path = raster("five.tif", np.concatenate([scene[0], scene[0][..., :2]], -1))
        with pytest.raises(InputError, match=r"five\.tif: the raster has 5 band\(s\), expected 3 \(red, green, blue\)"):
            predict_scene("glmamba_tiny.synthetic", path, path, tmp_path / "c.tif", SMALL)


def test_weights_by_name_and_their_threshold(raster, scene, tmp_path):
    before, after = (image[:96, :128] for image in scene[:2])
    paths = raster("a.tif", before), raster("b.tif", after)
    model = cdzoo.create_model("glmamba_tiny.synthetic")
    model.pretrained_cfg = dataclasses.replace(model.pretrained_cfg, threshold=0.25)
    cfg = SceneCfg(tile=128, probability="float32", progress=False)
    result = predict_scene(model, *paths, tmp_path / "c.tif", cfg, tmp_path / "p.tif")
    assert result.threshold == 0.25 and model.training
    np.testing.assert_array_equal(read(result.mask), read(result.probability) >= 0.25)
    with rasterio.open(result.mask) as file:
        tags = file.tags()
    assert (tags["model"], tags["weights"], tags["threshold"]) == ("glmamba_tiny", "glmamba_tiny.synthetic", "0.25")
    expected = read(result.probability)
    result = predict_scene("glmamba_tiny", *paths, tmp_path / "c.tif", cfg, tmp_path / "p.tif")
    assert result.threshold == 0.5
    np.testing.assert_array_equal(read(result.probability), expected)


def test_settings_offer_every_augmentation_and_are_importable_without_torch():
    assert typing.get_args(typing.get_type_hints(SceneCfg)["augment"]) == MODES
    code = "import sys; from cdzoo.scenes import PolygonCfg, SceneCfg; SceneCfg(); assert 'torch' not in sys.modules"
    env = {**os.environ, "PYTHONPATH": str(Path(cdzoo.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


@pytest.mark.slow
def test_scene_benchmark_runs(tmp_path):
    script = Path(cdzoo.__file__).parents[1] / "benchmarks" / "scene.py"
    env = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    words = [sys.executable, str(script), "--quick", "--out", str(tmp_path / "scene.json")]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "scene.json").read_text())["results"]
    assert [one["side"] for one in results] == [700, 1100] and all(one["pixels_per_s"] > 0 for one in results)

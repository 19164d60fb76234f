"""Size of pixels on the ground, and the scale that follows from it."""

import dataclasses
import sys
import warnings

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.pixel_size import advised_scale, picture_scale
from cdzoo.sizes import InputSizes
from cdzoo.weights.pretrained import get_pretrained

WEIGHTS = "fc_siam_diff_efficientnet_lite0.synthetic_wide"
DEGREE = 111_195.0  # meters of latitude


@pytest.fixture
def pair(tmp_path):
    def write(pixel, crs="EPSG:32617", side=96):
        names = []
        for name in ("a", "b"):
            image = np.random.default_rng(len(names)).integers(0, 256, (3, side, side), dtype=np.uint8)
            place = {} if crs is None else {"crs": crs, "transform": from_origin(500_000, 4_000_000, pixel, pixel)}
            if crs == "EPSG:4326":
                place["transform"] = from_origin(10, 0.001, pixel / DEGREE, pixel / DEGREE)
            with rasterio.open(
                tmp_path / f"{name}.tif", "w", driver="GTiff", height=side, width=side, count=3, dtype="uint8", **place
            ) as file:
                file.write(image)
            names.append(str(tmp_path / f"{name}.tif"))
        return [*names, str(tmp_path / "map.tif")]

    return write


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        (0.04, None),
        (0.1, 0.5),
        (0.15, 0.75),
        (0.17, 1),
        (0.3, 1),
        (0.6, 1),
        (0.65, 1.3),
        (1, 2),
        (1.5, 3),
        (2, 4),
        (2.1, None),
        (10, None),
    ],
)
def test_scales_bring_pixels_to_the_nearest_size(pixel, expected):
    assert advised_scale(pixel, (0.2, 0.5)) == expected


@pytest.mark.parametrize("crs", ["EPSG:32617", "EPSG:4326"])
def test_scenes_have_the_scale_for_their_pixels(pair, crs):
    names = pair(1.0, crs)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = predict_scene(WEIGHTS, *names, SceneCfg(progress=False))
    assert result.scale == 2
    with rasterio.open(names[2]) as file:
        assert file.tags()["scale"] == "2"
        automatic = file.read()
    predict_scene(WEIGHTS, *names, SceneCfg(scale=2, progress=False))
    with rasterio.open(names[2]) as file:
        assert np.array_equal(file.read(), automatic)


def test_pixels_that_no_scale_helps_are_named(pair):
    with pytest.warns(UserWarning, match=r"a\.tif: pixels of 10 m, while .* is for 0\.2 to 0\.5 m; expect poor maps"):
        assert predict_scene(WEIGHTS, *pair(10.0), SceneCfg(progress=False)).scale == 1


@pytest.mark.parametrize(
    ("pixel", "crs", "scale", "expected"),
    [(0.4, "EPSG:32617", "auto", 1), (1.0, None, "auto", 1), (1.0, "EPSG:32617", 1, 1), (10.0, "EPSG:32617", 1.5, 1.5)],
)
def test_nothing_is_said_of_right_unknown_or_chosen_sizes(pair, pixel, crs, scale, expected):
    names = pair(pixel, crs)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        assert predict_scene(WEIGHTS, *names, SceneCfg(scale=scale, progress=False)).scale == expected


def test_weights_that_state_no_size_see_the_pixels_as_they_are(pair, detector):
    assert predict_scene(detector(), *pair(1.0), SceneCfg(progress=False)).scale == 1


def test_models_of_certain_sizes_see_the_pixels_as_they_are(pair, monkeypatch):
    model = cdzoo.create_model(WEIGHTS, pretrained=True)
    monkeypatch.setattr(type(model), "input_sizes", InputSizes(fixed=96))
    assert predict_scene(model, *pair(1.0), SceneCfg(progress=False)).scale == 1


def test_command(pair, tmp_path, capsys):
    before, after, output = pair(1.0)
    assert main(["predict", before, after, "-o", output]) == 0
    assert ", scale 2)" in capsys.readouterr().out
    picture = str(tmp_path / "map.png")
    assert main(["predict", before, after, "-o", picture]) == 0
    assert ", scale 2)" in capsys.readouterr().out
    with rasterio.open(output) as of_scene, Image.open(picture) as of_pair:
        assert np.array_equal(of_scene.read(1) > 0, np.asarray(of_pair) > 0)
    assert main(["predict", before, after, "-o", picture, "--scale", "1"]) == 0
    assert ", scale" not in capsys.readouterr().out
    assert main(["predict", before, after, "-o", output, "--scale", "automatic"]) == 2
    assert "scale" in capsys.readouterr().err


def test_pictures_have_the_scale_of_the_scene_where_rasterio_is_installed(pair, tmp_path, monkeypatch):
    model = cdzoo.create_model(WEIGHTS, pretrained=True)
    before, _, _ = pair(1.0)
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png")
    assert picture_scale("auto", model, before) == 2
    assert picture_scale(1.5, model, before) == 1.5
    assert picture_scale("auto", model, tmp_path / "a.png") == 1
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert picture_scale("auto", model, before) == 1


def test_sizes_are_in_order():
    weights = get_pretrained(WEIGHTS)
    assert weights.pixel_size == (0.2, 0.5)
    with pytest.raises(ConfigError, match="pixel_size"):
        dataclasses.replace(weights, pixel_size=(0.5, 0.2))
    assert cdzoo.create_model(WEIGHTS, pretrained=True).pretrained_cfg == weights

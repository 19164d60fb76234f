"""Size of pixels on the ground, and the scale that follows from it."""

import dataclasses
import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.pixel_size import advised_scale
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
def test_auto_is_the_scale_for_the_pixels(pair, crs):
    names = pair(1.0, crs)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = predict_scene(WEIGHTS, *names, SceneCfg(scale="auto", progress=False))
    assert result.scale == 2
    with rasterio.open(names[2]) as file:
        assert file.tags()["scale"] == "2"
        automatic = file.read()
    predict_scene(WEIGHTS, *names, SceneCfg(scale=2, progress=False))
    with rasterio.open(names[2]) as file:
        assert np.array_equal(file.read(), automatic)


def test_pixels_that_weights_are_not_for_are_named(pair):
    with pytest.warns(UserWarning, match=r"a\.tif: pixels of 1 m, while .* is for 0\.2 to 0\.5 m; --scale 2, or --scale auto"):
        result = predict_scene(WEIGHTS, *pair(1.0), SceneCfg(progress=False))
    assert result.scale == 1
    for scale in (1.0, "auto"):
        with pytest.warns(UserWarning, match=r"pixels of 10 m, .*; expect poor maps"):
            assert predict_scene(WEIGHTS, *pair(10.0), SceneCfg(scale=scale, progress=False)).scale == 1


@pytest.mark.parametrize(("pixel", "crs", "scale"), [(0.4, "EPSG:32617", 1.0), (1.0, None, 1.0), (1.0, "EPSG:32617", 1.5)])
def test_nothing_is_said_of_right_unknown_or_chosen_sizes(pair, pixel, crs, scale):
    names = pair(pixel, crs)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        predict_scene(WEIGHTS, *names, SceneCfg(scale=scale, progress=False))


def test_auto_needs_weights_and_images_that_state_sizes(pair, detector):
    cfg = SceneCfg(scale="auto", progress=False)
    with pytest.raises(ConfigError, match=r"weights of .* do not state which size of pixels they are for"):
        predict_scene(detector(), *pair(1.0), cfg)
    with pytest.raises(ConfigError, match=r"a\.tif: has no coordinate system"):
        predict_scene(WEIGHTS, *pair(1.0, None), cfg)


def test_command(pair, tmp_path, capsys):
    before, after, output = pair(1.0)
    assert main(["predict", before, after, "-o", output, "--scale", "auto"]) == 0
    assert ", scale 2)" in capsys.readouterr().out
    assert main(["predict", before, after, "-o", str(tmp_path / "map.png"), "--scale", "auto"]) == 2
    assert "--scale auto is for maps of scenes" in capsys.readouterr().err
    assert main(["predict", before, after, "-o", output, "--scale", "automatic"]) == 2
    assert "scale" in capsys.readouterr().err


def test_sizes_are_in_order():
    weights = get_pretrained(WEIGHTS)
    assert weights.pixel_size == (0.2, 0.5)
    with pytest.raises(ConfigError, match="pixel_size"):
        dataclasses.replace(weights, pixel_size=(0.5, 0.2))
    assert cdzoo.create_model(WEIGHTS, pretrained=True).pretrained_cfg == weights

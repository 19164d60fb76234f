"""`predict_pair`: inputs, thresholds, windows and augmentation."""

import dataclasses
import inspect
import warnings

import numpy as np
import pytest
import torch
from known_backbones import Convolutions
from PIL import Image

import cdzoo
from cdzoo.components import PerLevelFusion
from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.data.open import DataCfg
from cdzoo.errors import ConfigError, InputError, UnknownNameError, WeightsError
from cdzoo.fusion import AbsDiff
from cdzoo.heads import Conv
from cdzoo.io.images import read_image
from cdzoo.models.modes import evaluating
from cdzoo.models.preprocess import normalize
from cdzoo.scenes import SceneCfg

RNG = np.random.default_rng(0)
A, B = (RNG.integers(0, 256, (41, 50, 3), dtype=np.uint8) for _ in range(2))


def to_tensor(image):
    return torch.from_numpy(image).permute(2, 0, 1)


@pytest.fixture
def local_model():
    """Return a model with a receptive field of 15 pixels in each direction."""
    kinds = {kind: ComponentCfg(f"instance:{kind}") for kind in ("backbone", "fusion", "head")}
    config = ModelCfg(name="known", **kinds, mean=(0.5,), std=(0.5,))
    fusion, head = PerLevelFusion([AbsDiff(8)], [4]), Conv([8], [4], 1)
    return cdzoo.ChangeDetector(Convolutions(), None, fusion, None, head, config=config)


def test_kinds_of_images(tiny, tmp_path):
    model = tiny()
    Image.fromarray(A).save(tmp_path / "a.png")
    Image.fromarray(B).save(tmp_path / "b.png")
    maps = [
        cdzoo.predict_pair(model, A, B),
        cdzoo.predict_pair(model, Image.fromarray(A), Image.fromarray(B)),
        cdzoo.predict_pair(model, tmp_path / "a.png", str(tmp_path / "b.png")),
        cdzoo.predict_pair(model, to_tensor(A), to_tensor(B)),
    ]
    for change in maps:
        assert change.probability.shape == (41, 50) and change.mask.dtype == np.uint8
        assert np.array_equal(change.probability, maps[0].probability)
        assert np.array_equal(change.mask, change.probability >= 0.5)
        assert np.array_equal(change.before, A) and np.array_equal(change.after, B)
    assert model.training, "the mode of the model is restored"


@pytest.mark.parametrize("convert", [lambda x: x / 255, lambda x: (x / 255).astype(np.float32), lambda x: to_tensor(x) / 255])
def test_floating_point_images_in_the_unit_interval(tiny, convert):
    model = tiny()
    change, expected = cdzoo.predict_pair(model, convert(A), convert(B)), cdzoo.predict_pair(model, A, B)
    np.testing.assert_allclose(change.probability, expected.probability, atol=1e-6)
    assert np.array_equal(change.before, A) and np.array_equal(change.after, B)


def test_grayscale_images_of_one_band(tiny):
    model = tiny(in_chans=1)
    gray = A[..., 0], B[..., 0]
    expected = cdzoo.predict_pair(model, *(image[..., None] for image in gray)).probability
    np.testing.assert_array_equal(cdzoo.predict_pair(model, *gray).probability, expected)
    np.testing.assert_array_equal(cdzoo.predict_pair(model, *map(torch.from_numpy, gray)).probability, expected)
    np.testing.assert_array_equal(cdzoo.predict_pair(model, *map(Image.fromarray, gray)).probability, expected)


def test_the_probability_is_that_of_the_model(tiny):
    model = tiny().eval()
    tensors = [normalize(to_tensor(x)[None], model.config.mean, model.config.std) for x in (A, B)]
    with torch.no_grad():
        expected = model(*tensors)[0, 0].sigmoid().numpy()
    change = cdzoo.predict_pair(model, A, B, threshold=0.3)
    np.testing.assert_allclose(change.probability, expected, atol=1e-6)
    assert np.array_equal(change.mask, change.probability >= 0.3)


class TestNamedModels:
    def test_a_name_loads_the_weights(self):
        expected = cdzoo.predict_pair(cdzoo.create_model("glmamba_tiny", pretrained=True), A, B).probability
        for name in ("glmamba_tiny", "glmamba_tiny.synthetic"):
            np.testing.assert_array_equal(cdzoo.predict_pair(name, A, B).probability, expected)

    def test_folders_load_their_weights(self, tiny, tmp_path):
        model = tiny()
        model.save_pretrained(tmp_path / "model")
        change = cdzoo.predict_pair(f"local-dir:{tmp_path / 'model'}", A, B)
        np.testing.assert_array_equal(change.probability, cdzoo.predict_pair(model, A, B).probability)

    def test_errors(self):
        with pytest.raises(UnknownNameError, match="glmamba_tiny"):
            cdzoo.predict_pair("glmamba_tyni", A, B)
        with pytest.raises(WeightsError, match="no weights of 'glmamba_base' are published"):
            cdzoo.predict_pair("glmamba_base", A, B)
        with pytest.raises(ConfigError, match=r"must be a ChangeDetector, the name of one, or an exported .* got Linear"):
            cdzoo.predict_pair(torch.nn.Linear(1, 1), A, B)


class TestThreshold:
    def test_the_default_is_that_of_the_weights(self):
        model = cdzoo.create_model("glmamba_tiny.synthetic")
        model.pretrained_cfg = dataclasses.replace(model.pretrained_cfg, threshold=0.2)
        change = cdzoo.predict_pair(model, A, B)
        level = float(np.median(change.probability))
        model.pretrained_cfg = dataclasses.replace(model.pretrained_cfg, threshold=level)
        assert 0.4 < cdzoo.predict_pair(model, A, B).mask.mean() < 0.6
        assert np.array_equal(change.mask, change.probability >= 0.2)
        assert np.array_equal(cdzoo.predict_pair(model, A, B, threshold=0.9).mask, change.probability >= 0.9)

    def test_positional_threshold_warns(self, tiny):
        model = tiny()
        with pytest.warns(DeprecationWarning, match="predict_pair: pass threshold=..., value_range=... by keyword") as caught:
            change = cdzoo.predict_pair(model, A, B, 0.3, None, augment="flips")
        assert caught[0].filename == __file__
        expected = cdzoo.predict_pair(model, A, B, threshold=0.3, augment="flips")
        assert np.array_equal(change.mask, expected.mask)
        with pytest.raises(TypeError):
            cdzoo.predict_pair(model, A, B, 0.3, threshold=0.4)
        with pytest.raises(TypeError):
            cdzoo.predict_pair(model, A, B, 0.3, None, "none", None, "more")

    def test_the_signature_is_keyword_only(self, tiny):
        parameters = inspect.signature(cdzoo.predict_pair).parameters
        assert parameters["threshold"].kind is inspect.Parameter.KEYWORD_ONLY and parameters["threshold"].default is None
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            cdzoo.predict_pair(tiny(), A, B, threshold=0.3)


@pytest.mark.parametrize(
    ("before", "after", "threshold", "message"),
    [
        (A, B[:-1], None, "the second image: 50x40 pixels, but the first image has 50x41"),
        (A.astype(float), B, None, r"the first image: expected uint8, or float in \[0, 1\].*got values from 0 to 255"),
        (A.astype(np.uint16), B, None, "the first image: expected uint8.*got uint16"),
        (A, B[..., 0], None, r"the second image: expected uint8.* of shape \(H, W, 3\)"),
        (to_tensor(A), torch.from_numpy(B), None, r"the second image: expected uint8.* of shape \(H, W, 3\)"),
        (A[:20], B[:20], None, "at least 32x32"),
        (A, B, 0.0, "threshold must be between"),
    ],
)
def test_invalid_inputs(tiny, before, after, threshold, message):
    with pytest.raises(InputError, match=message):
        cdzoo.predict_pair(tiny(), before, after, threshold=threshold)


def test_bands_other_than_those_of_the_weights(tmp_path):
    model, four = cdzoo.create_model("glmamba_tiny.synthetic"), np.concatenate([A, A], -1)[..., :5]
    Image.fromarray(A[..., 0]).save(tmp_path / "gray.png")
    expected = "but the weights glmamba_tiny.synthetic expect 3: red, green, blue"
    for image, message in (
        (four, f"the first image: 5 band.*{expected}"),
        (to_tensor(four), f"the first image: 5 band.*{expected}"),
        (Image.fromarray(A[..., 0]), f"the first image: 1 band.*{expected}"),
        (tmp_path / "gray.png", rf"gray\.png: 1 band.*{expected}"),
    ):
        with pytest.raises(InputError, match=message):
            cdzoo.predict_pair(model, image, B)


def test_windows_equal_the_whole_image_if_the_overlap_covers_the_receptive_field(local_model, monkeypatch):
    before, after = (RNG.integers(0, 255, (210, 330, 3), dtype=np.uint8) for _ in range(2))
    whole = cdzoo.predict_pair(local_model, before, after)
    windows = cdzoo.predict_pair(local_model, before, after, tile=128)
    assert np.abs(whole.probability - windows.probability).max() < 1e-5 and local_model.training
    monkeypatch.setattr("cdzoo.inference.blocks.WINDOW_SIDE", 128)
    np.testing.assert_array_equal(cdzoo.predict_pair(local_model, before, after).probability, windows.probability)


def test_a_fixed_input_size_sets_the_windows(local_model):
    before, after = (RNG.integers(0, 255, (70, 130, 3), dtype=np.uint8) for _ in range(2))
    shapes, forward = [], local_model.forward
    local_model.backbone.fixed_input_size = 64
    local_model.forward = lambda *images: shapes.append(images[0].shape[-2:]) or forward(*images)
    assert cdzoo.predict_pair(local_model, before, after).probability.shape == (70, 130)
    assert len(shapes) > 1 and set(shapes) == {(64, 64)}
    with pytest.raises(InputError, match="at least 64x64 pixels, got 50x41"):
        cdzoo.predict_pair(local_model, A, B)


def test_augmentation_is_the_mean_over_its_views(tiny):
    model = tiny()
    there, back = (cdzoo.predict_pair(model, *pair).probability for pair in ((A, B), (B, A)))
    both = cdzoo.predict_pair(model, A, B, augment="swap").probability
    np.testing.assert_allclose(both, (there + back) / 2, atol=1e-6)
    with pytest.raises(ConfigError, match="no test-time augmentation 'flip'"):
        cdzoo.predict_pair(model, A, B, augment="flip")


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_restores_the_mode(training):
    model = torch.nn.Sequential(torch.nn.Dropout()).train(training)
    with pytest.raises(RuntimeError, match="stop"), evaluating(model):
        assert not model.training and not model[0].training
        raise RuntimeError("stop")
    assert model.training is training and model[0].training is training


@pytest.mark.parametrize("values", [(5, 5), (255, 0), (0, float("nan")), (0, float("inf")), (16777216, 16777217), (1,)])
def test_ranges_without_values_are_refused_wherever_they_are_given(tmp_path, local_model, values):
    path = tmp_path / "a.png"
    Image.fromarray(A).save(path)
    calls = (
        lambda: cdzoo.predict_pair(local_model, A, B, value_range=values),
        lambda: read_image(path, 3, values),
        lambda: SceneCfg(value_range=values),
        lambda: SceneCfg(value_range_after=values),
        lambda: DataCfg("oscd", value_range=values),
    )
    for call in calls:
        with pytest.raises(ConfigError, match="value_range"):
            call()

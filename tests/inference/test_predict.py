"""A pair in, a map out."""

import numpy as np
import pytest
import torch
from PIL import Image

import cdzoo
from cdzoo.errors import ConfigError, InputError
from cdzoo.models.preprocess import normalize

RNG = np.random.default_rng(0)
A, B = (RNG.integers(0, 256, (41, 50, 3), dtype=np.uint8) for _ in range(2))


def test_arrays_pil_images_and_paths_give_the_same_map(tiny, tmp_path):
    model = tiny()
    Image.fromarray(A).save(tmp_path / "a.png")
    Image.fromarray(B).save(tmp_path / "b.png")
    maps = [
        cdzoo.predict_pair(model, A, B),
        cdzoo.predict_pair(model, Image.fromarray(A), Image.fromarray(B)),
        cdzoo.predict_pair(model, tmp_path / "a.png", str(tmp_path / "b.png")),
    ]
    for change in maps:
        assert change.probability.shape == (41, 50) and change.mask.dtype == np.uint8
        assert np.array_equal(change.probability, maps[0].probability)
        assert np.array_equal(change.mask, change.probability >= 0.5)
        assert np.array_equal(change.before, A) and np.array_equal(change.after, B)
    assert model.training, "the mode it was in"


def test_it_is_the_models_own_output(tiny):
    model = tiny().eval()
    tensors = [normalize(torch.from_numpy(x).permute(2, 0, 1)[None], model.config.mean, model.config.std) for x in (A, B)]
    with torch.no_grad():
        expected = model(*tensors)[0, 0].sigmoid().numpy()
    change = cdzoo.predict_pair(model, A, B, threshold=0.3)
    np.testing.assert_allclose(change.probability, expected, atol=1e-6)
    assert np.array_equal(change.mask, change.probability >= 0.3)


@pytest.mark.parametrize(
    ("before", "after", "threshold", "message"),
    [
        (A, B[:-1], 0.5, "the second image: 50x40 pixels, but the first image has 50x41"),
        (A.astype(float), B, 0.5, r"the first image: expected uint8 \(H, W, 3\), got float64"),
        (A, B[..., 0], 0.5, r"the second image: expected uint8 \(H, W, 3\)"),
        (A[:20], B[:20], 0.5, "at least 32x32"),
        (A, B, 0.0, "threshold must be between"),
    ],
)
def test_what_does_not_fit_is_named(tiny, before, after, threshold, message):
    with pytest.raises(InputError, match=message):
        cdzoo.predict_pair(tiny(), before, after, threshold)


def test_tiles_of_an_array_equal_the_whole_image(monkeypatch):
    from known_backbones import Convolutions

    from cdzoo.components import PerLevelFusion
    from cdzoo.config import ComponentCfg, ModelCfg
    from cdzoo.fusion import AbsDiff
    from cdzoo.heads import Conv

    parts = {kind: ComponentCfg(f"instance:{kind}") for kind in ("backbone", "fusion", "head")}
    config = ModelCfg(name="known", **parts, mean=(0.5,), std=(0.5,))
    model = cdzoo.ChangeDetector(Convolutions(), None, PerLevelFusion([AbsDiff(8)], [4]), None, Conv([8], [4], 1), config=config)
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 255, (210, 330, 3), dtype=np.uint8) for _ in range(2))
    whole = cdzoo.predict_pair(model, before, after)
    tiled = cdzoo.predict_pair(model, before, after, tile=128)
    assert np.abs(whole.probability - tiled.probability).max() < 1e-5 and model.training
    monkeypatch.setattr("cdzoo.inference.predict._LARGEST_WHOLE", 300)
    monkeypatch.setattr("cdzoo.inference.predict._TILE", 128)
    np.testing.assert_array_equal(cdzoo.predict_pair(model, before, after).probability, tiled.probability)


def test_augmentation_of_a_pair_is_the_mean_of_its_views(tiny):
    model = tiny()
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 255, (40, 48, 3), dtype=np.uint8) for _ in range(2))
    there, back = (cdzoo.predict_pair(model, *pair).probability for pair in ((before, after), (after, before)))
    both = cdzoo.predict_pair(model, before, after, augment="swap").probability
    np.testing.assert_allclose(both, (there + back) / 2, atol=1e-6)
    with pytest.raises(ConfigError, match="no test-time augmentation 'flip'"):
        cdzoo.predict_pair(model, before, after, augment="flip")

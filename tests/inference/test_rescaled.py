"""Prediction at another scale, and of augmented images: pictures, scenes and scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import torch
import torch.nn.functional as F
from made_data import pair, tensor

import cdzoo
from cdzoo.data.sample import Sample
from cdzoo.errors import ConfigError
from cdzoo.inference.evaluate import evaluate, predict_windows
from cdzoo.inference.predict import predict_pair
from cdzoo.inference.rescaled import rescaled
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.scale import at_scale
from cdzoo.protocol import Augment, Protocol
from cdzoo.results import ProtocolRecord
from cdzoo.scenes import SceneCfg, predict_scene


@pytest.fixture(scope="module")
def model() -> ChangeDetector:
    torch.manual_seed(0)
    return cdzoo.create_model("fc_siam_diff").eval()


def _write(path: Path, image: npt.NDArray[np.uint8]) -> Path:
    height, width, bands = image.shape
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=bands, dtype="uint8") as file:
        file.write(image.transpose(2, 0, 1))
    return path


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0])
def test_pair_equals_resampling_by_hand(model: ChangeDetector, scale: float) -> None:
    before, after = pair(70, 90)
    found = predict_pair(model, before, after, scale=scale).probability
    size = (round(70 * scale), round(90 * scale))
    images = (F.interpolate(tensor(image), size, mode="bicubic", antialias=True) for image in (before, after))
    with torch.no_grad():
        large = model.predict_probabilities(*images)
    expected = F.interpolate(large[None], (70, 90), mode="bilinear", antialias=True)[0, 0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert np.abs(found - predict_pair(model, before, after).probability).max() > 1e-4


def test_enlarged_image_at_half_scale_is_nearer_to_the_image(model: ChangeDetector) -> None:
    before, after = pair(64, 64)
    large = [image.repeat(2, 0).repeat(2, 1) for image in (before, after)]
    expected = predict_pair(model, before, after).probability
    found = (predict_pair(model, *large, scale=scale).probability[::2, ::2] for scale in (0.5, 1.0))
    half, whole = (np.abs(one - expected).mean() for one in found)
    assert half < 0.5 * whole


def test_several_classes_keep_their_axes() -> None:
    images = [torch.rand(2, 3, 20, 30)] * 2
    found = at_scale(lambda before, after: before.softmax(1), images, 2.0)
    assert found.shape == (2, 3, 20, 30)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 20, 30))


def test_scene_equals_picture(model: ChangeDetector, tmp_path: Path) -> None:
    before, after = pair(80, 96)
    names = (_write(tmp_path / "a.tif", before), _write(tmp_path / "b.tif", after), tmp_path / "map.tif")
    predict_scene(model, *names, SceneCfg(scale=2.0, probability="float32"), probability=tmp_path / "p.tif")
    with rasterio.open(tmp_path / "p.tif") as file, rasterio.open(tmp_path / "map.tif") as mask:
        np.testing.assert_allclose(file.read(1), predict_pair(model, before, after, scale=2.0).probability, atol=1e-6)
        assert mask.tags()["scale"] == "2"
    assert not predict_scene(model, *names, SceneCfg(probability="float32"), tmp_path / "p.tif", skip_finished=True).finished


@pytest.mark.parametrize("window", [None, 48])
def test_scores_at_another_scale(model: ChangeDetector, window: int | None) -> None:
    before, after = pair(64, 80)
    protocol = Protocol("p", window=window, scale=2.0)
    with torch.no_grad():
        found = predict_windows(model, (tensor(before), tensor(after)), protocol)
    if window is None:
        np.testing.assert_allclose(found[0].numpy(), predict_pair(model, before, after, scale=2.0).probability, atol=1e-6)
    protocol = dataclasses.replace(protocol, threshold=found.median().item())
    mask = (found[0] >= protocol.threshold).long()
    sample = Sample((tensor(before)[0], tensor(after)[0]), {"mask": mask}, "a")

    class One:
        names = ("a",)

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            return sample

    right = evaluate(model, One(), protocol).summary()
    assert right["oa"] == 1
    assert evaluate(model, One(), dataclasses.replace(protocol, scale=1.0)).summary()["oa"] < 1


@pytest.mark.parametrize(("scale", "expected"), [(0.5, 8), (1.0, 8), (2.0, 2), (3.0, 1)])
def test_batches_are_smaller_at_larger_scales(model: ChangeDetector, scale: float, expected: int) -> None:
    image = tensor(pair(64, 64)[0])[0]
    samples = [Sample((image, image), {"mask": torch.zeros(64, 64, dtype=torch.long)}, str(index)) for index in range(8)]

    class Images:
        names = tuple(sample.name for sample in samples)

        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> Sample:
            return samples[index]

    sizes = []
    hook = model.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
    evaluate(model, Images(), Protocol("p", scale=scale))
    assert sizes == [expected] * (8 // expected)
    sizes.clear()
    predict_pair(model, *pair(64, 344), tile=64, overlap=24, scale=scale, batch_size=8)
    hook.remove()
    assert max(sizes) == expected


def test_batches_of_scenes_are_smaller_at_larger_scales(model: ChangeDetector, tmp_path: Path) -> None:
    before, after = (_write(tmp_path / f"{index}.tif", image) for index, image in enumerate(pair(64, 344)))
    sizes: list[int] = []
    hook = model.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
    for scale, expected in ((1.0, 4), (2.0, 1)):
        cfg = SceneCfg(tile=64, overlap=24, scale=scale, progress=False)
        predict_scene(model, before, after, tmp_path / f"{scale}.tif", cfg)
        assert max(sizes) == expected
        sizes.clear()
    hook.remove()


def test_records_name_the_scale_and_keep_their_hashes() -> None:
    plain, scaled = (ProtocolRecord.of(Protocol("p", scale=scale), {"test": ["a"]}) for scale in (1.0, 2.0))
    assert "scale" not in plain.to_dict() and scaled["scale"] == 2
    assert plain.hash == "e1537a5c1342c172" and plain.hash != scaled.hash and plain.samples_hash != scaled.samples_hash
    assert ProtocolRecord.from_dict(scaled.to_dict()) == scaled
    assert "scale 2" in str(Protocol("p", scale=2.0)) and "scale" not in str(Protocol("p"))


@pytest.mark.parametrize(("scale", "multiple"), [(2.0, 8), (0.5, 32), (1.5, 32), (0.25, 64), (3.0, 16), (1.37, 16)])
def test_windows_start_at_the_grid_of_the_model(model: ChangeDetector, scale: float, multiple: int) -> None:
    assert model.window_multiple == 16
    assert rescaled(model, scale).window_multiple == multiple
    assert scale == 1.37 or (multiple * scale) % 16 == 0


def test_scales_that_cannot_be_used(model: ChangeDetector) -> None:
    assert rescaled(model, 1.0) is model
    for scale in (0.05, 9.0, float("nan")):
        with pytest.raises(ConfigError, match=r"scale must be from 0\.1 to 8"):
            predict_pair(model, *pair(64, 64), scale=scale)
    fixed = cdzoo.create_model("hanet", backbone_kwargs={"channels": [4, 8, 12, 16], "img_size": 64})
    with pytest.raises(ConfigError, match="hanet takes images of certain sizes only"):
        predict_pair(fixed, *pair(64, 64), scale=2.0)


@pytest.mark.parametrize("mode", ["flips", "swap", "all"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_scores_of_augmented_predictions(mode: Augment, scale: float) -> None:
    torch.manual_seed(0)
    model, (before, after) = cdzoo.create_model("fc_siam_conc").eval(), pair(64, 80)  # not symmetric in the dates
    images = (tensor(before), tensor(after))
    with torch.no_grad():
        found = predict_windows(model, images, Protocol("p", scale=scale, augment=mode))[0].numpy()
        plain = predict_windows(model, images, Protocol("p", scale=scale))[0].numpy()
    np.testing.assert_allclose(found, predict_pair(model, before, after, scale=scale, augment=mode).probability, atol=1e-6)
    assert np.abs(found - plain).max() > 1e-4


def test_records_name_the_augmentation_and_keep_their_hashes() -> None:
    plain, augmented = (ProtocolRecord.of(Protocol("p", augment=mode), {"test": ["a"]}) for mode in ("none", "flips"))
    assert "augment" not in plain.to_dict() and augmented["augment"] == "flips"
    assert plain.hash == "e1537a5c1342c172" and plain.hash != augmented.hash
    assert "augment flips" in str(Protocol("p", augment="flips")) and "augment" not in str(Protocol("p"))

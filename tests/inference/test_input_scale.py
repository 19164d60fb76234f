"""Models that resample images before the network: prediction, scores, training, saved models and exported files."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_data import pair, tensor

import cdzoo
from cdzoo.data.sample import Sample
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import ConfigError
from cdzoo.flops import count
from cdzoo.inference.evaluate import predict_windows
from cdzoo.inference.predict import predict_pair
from cdzoo.inference.rescaled import rescaled
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.scale import resample
from cdzoo.protocol import Protocol
from cdzoo.scenes import SceneCfg, predict_scene


def create(scale: float | None = None, name: str = "fc_siam_diff", **options: Any) -> ChangeDetector:
    torch.manual_seed(0)
    return cdzoo.create_model(name, input_scale=scale, **options).eval()


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_prediction_equals_that_at_the_same_scale(scale: float) -> None:
    before, after = pair(80, 96)
    expected = predict_pair(create(), before, after, scale=scale).probability
    np.testing.assert_allclose(predict_pair(create(scale), before, after).probability, expected, atol=1e-6)
    further = predict_pair(create(scale), before, after, scale=2.0).probability
    np.testing.assert_allclose(further, predict_pair(create(), before, after, scale=2 * scale).probability, atol=1e-6)
    assert np.abs(expected - predict_pair(create(), before, after).probability).max() > 1e-4


@pytest.mark.parametrize("window", [None, 64])
def test_scores_are_those_at_the_same_scale(window: int | None) -> None:
    images = tuple(map(tensor, pair(80, 96)))
    with torch.no_grad():
        expected = predict_windows(create(), images, Protocol("p", window=window, scale=0.5))
        torch.testing.assert_close(predict_windows(create(0.5), images, Protocol("p", window=window)), expected)
        doubled = predict_windows(create(0.5), images, Protocol("p", window=window, scale=2.0))
        torch.testing.assert_close(doubled, predict_windows(create(), images, Protocol("p", window=window)))


def test_scenes_equal_pictures(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    model = create(0.5)
    before, after = pair(192, 256)
    for name, image in (("a", before), ("b", after)):
        with rasterio.open(tmp_path / f"{name}.tif", "w", driver="GTiff", height=192, width=256, count=3, dtype="uint8") as file:
            file.write(image.transpose(2, 0, 1))
    cfg = SceneCfg(probability="float32", tile=64, overlap=16)
    predict_scene(model, tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "map.tif", cfg, probability=tmp_path / "p.tif")
    with rasterio.open(tmp_path / "p.tif") as file:
        np.testing.assert_allclose(file.read(1), predict_pair(model, before, after, tile=64, overlap=16).probability, atol=1e-6)


def test_windows_start_at_the_grid_of_the_network() -> None:
    assert create().window_multiple == 16
    assert [create(scale).window_multiple for scale in (0.5, 0.25, 2.0, 1.5)] == [32, 64, 8, 32]
    assert rescaled(create(0.5), 0.5).window_multiple == 64
    assert rescaled(create(0.5), 2.0).window_multiple == 16


def test_images_for_the_network_are_resampled() -> None:
    before, after = pair(80, 96)
    model = create(0.5)
    images = model.preprocess(before, after)
    assert [image.shape for image in images] == [(1, 3, 40, 48)] * 2
    torch.testing.assert_close(images[0], resample(create().preprocess(before, after)[0], 0.5))
    assert model(*images).shape == (1, 2, 40, 48)


def test_small_images_keep_the_least_size_of_a_network() -> None:
    before, after = pair(40, 96)
    assert predict_pair(create(0.5), before, after).probability.shape == (40, 96)
    assert resample(torch.zeros(1, 3, 40, 96), 0.5).shape[-2:] == (32, 48)


class Ramp:
    """Images whose values are their own columns, so that crops show their scale."""

    names = tuple(map(str, range(8)))

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Sample:
        image = (torch.arange(128) / 255).expand(3, 128, 128).contiguous()
        return Sample((image, image), {"mask": torch.zeros(128, 128, dtype=torch.long)}, self.names[index])


@pytest.mark.parametrize(("scale", "step"), [(None, 1.0), (0.5, 2.0), (2.0, 0.5)])
def test_training_crops_are_resampled(scale: float | None, step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning.fabric")
    fit = importlib.import_module("cdzoo.engine.fit")
    seen: list[torch.Tensor] = []
    step_of = fit.train_step

    def watched(fabric: Any, objective: Any, optimizer: Any, batches: Any, *rest: Any) -> Any:
        seen.extend(batch.images[0][:, 0] for batch in batches)
        return step_of(fabric, objective, optimizer, batches, *rest)

    monkeypatch.setattr(fit, "train_step", watched)
    cfg = TrainCfg(epochs=1, batch_size=8, crop=64, flips=False, rotate=False, progress=False, device="cpu")
    fit.train(create(scale), Ramp(), Ramp(), cfg)
    assert seen[0].shape == (8, 64, 64)
    differences = seen[0][:, :, 8:-8].diff(dim=2) * 255
    torch.testing.assert_close(differences, torch.full_like(differences, step), atol=1e-3, rtol=0)


def test_saved_models_keep_the_scale(tmp_path: Path) -> None:
    create(0.5).save_pretrained(tmp_path / "model")
    assert cdzoo.create_model(f"local-dir:{tmp_path / 'model'}").config.input_scale == 0.5
    assert cdzoo.create_model(f"local-dir:{tmp_path / 'model'}", input_scale=1.0).config.input_scale == 1
    from cdzoo.factory import create_initialized

    source = str(tmp_path / "model")
    assert create_initialized(source, "fc_siam_diff")[0].config.input_scale == 0.5
    assert create_initialized(source, "fc_siam_diff", input_scale=2.0)[0].config.input_scale == 2


def test_exported_files_are_run_at_the_scale(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from cdzoo.export import export_model
    from cdzoo.inference.onnx import OnnxModel

    model, (before, after) = create(0.5), pair(96, 128)
    export_model(model, tmp_path / "model.onnx")
    exported = OnnxModel(tmp_path / "model.onnx")
    assert exported.window_multiple == 2 * exported.pad_multiple
    expected = predict_pair(model, before, after).probability
    np.testing.assert_allclose(predict_pair(exported, before, after).probability, expected, atol=1e-5)
    with pytest.raises(ConfigError, match=r"resamples images by 0\.5, for which its file must take all sizes"):
        export_model(model, tmp_path / "fixed.onnx", size=256)
    assert not (tmp_path / "fixed.onnx").exists()


def test_costs_are_those_of_the_resampled_images() -> None:
    pytest.importorskip("fvcore.nn")
    assert count(create(0.5), 256).macs == count(create(), 128).macs


def test_scales_that_cannot_be_used() -> None:
    for scale in (0.05, 9.0):
        with pytest.raises(ConfigError, match="input_scale"):
            create(scale)
    with pytest.raises(ConfigError, match=r"hanet takes images of certain sizes only, so scale=0\.5 cannot be used"):
        create(0.5, "hanet", backbone_kwargs={"channels": [4, 8, 12, 16], "img_size": 64})

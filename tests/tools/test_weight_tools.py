"""Choice of a threshold, bundling of weights, and the page of results."""

import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import cdzoo
from cdzoo.data import SyntheticScenes
from cdzoo.errors import ConfigError, InputError
from cdzoo.results import Results

ROOT = Path(__file__).parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(f"{name}_tool", ROOT / "tools" / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_curve_is_the_f1_of_each_threshold():
    tool = load("calibrate")
    generator = torch.Generator().manual_seed(0)
    changed = torch.rand(2000, generator=generator) < 0.3
    probability = (0.5 * changed + 0.6 * torch.rand(2000, generator=generator)).clamp(0, 1)
    step = (probability * tool.STEPS).long().clamp(0, tool.STEPS - 1)
    counts = torch.bincount(changed * tool.STEPS + step, minlength=2 * tool.STEPS).view(2, tool.STEPS).numpy()
    curve = tool.f1_curve(counts)
    for index in (0, 50, 100, 150):
        called = step >= index
        expected = 2 * (called & changed).sum() / (called.sum() + changed.sum())
        assert curve[index] == pytest.approx(float(expected))
    assert np.isfinite(curve).all()


def test_probabilities_are_averaged_over_flips():
    tool, samples = load("calibrate"), SyntheticScenes(2, 64, seed=1)
    model = cdzoo.create_model("fc_siam_diff").eval()
    expected = np.zeros((2, tool.STEPS), int)
    for sample in (samples[0], samples[1]):
        views = []
        for axes in ((), (-1,), (-2,), (-2, -1)):
            with torch.inference_mode():
                views.append(model.predict_probabilities(*(image[None].flip(axes) for image in sample.images))[0].flip(axes))
        for changed in (0, 1):
            found = (sum(views) / 4)[sample.target["mask"] == changed].numpy()
            expected[changed] += np.bincount((found * tool.STEPS).astype(int), minlength=tool.STEPS)
    assert (tool.histogram(model, samples, 2, augment="flips") == expected).all()
    assert (tool.histogram(model, samples, 2) != expected).any()


def test_zero_shot_scores_must_be_of_these_weights(tmp_path):
    tool = load("bundle_weight")
    content = {"weights_sha256": "a", "scores": {"f1": 0.5, "sweep": []}, "protocol": {"name": "p"}}
    (tmp_path / "scores.json").write_text(json.dumps(content))
    found = tool.read_zero_shot(tmp_path / "scores.json", "a")
    assert found == {"scores": {"f1": 0.5}, "protocol": {"name": "p"}}
    with pytest.raises(InputError, match=r"scores\.json: not an evaluation of these weights"):
        tool.read_zero_shot(tmp_path / "scores.json", "b")
    with pytest.raises(InputError, match=r"neither training\.json nor results\.json"):
        tool.read_training(tmp_path)


def test_descriptions_have_the_input_scale_of_the_run_and_the_size_of_pixels():
    tool = load("bundle_weight")
    config = cdzoo.create_model("glmamba_tiny", input_scale=1.5).config
    result = Results.read(tool.BUNDLED / "glmamba_tiny.synthetic" / "results.json")
    found = tool.describe(tool.Bundle(ROOT, "glmamba_tiny", "new", pixel_size=(0.2, 0.5)), config, result, 192, [])
    assert (found.input_scale, found.pixel_size, found.size, found.threshold) == (1.5, (0.2, 0.5), 192, 0.5)


def test_the_page_of_results_is_current():
    """Run `python tools/results.py` to update the page."""
    assert (ROOT / "docs" / "results.md").read_text() == load("results").page()


@pytest.mark.parametrize("further", [(), ("--coarse-scale", "2")])
def test_variants_train_on_generated_scenes_and_are_saved(tmp_path, further):
    """Four steps, after which the average is updated; it has the counts of batch normalization."""
    words = ["--steps", "4", "--batch", "2", "--crop", "64", "--size", "64", "--workers", "0", "--pool", "8", "--group", "2"]
    words += ["--coarse", "0.4", "--precision", "bf16", "--input-scale", "1.5"]
    script = [sys.executable, str(ROOT / "tools" / "train_transfer.py"), "--out", str(tmp_path), "--every", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*script, *words, *further, "--variants", "fine", "base"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "4 steps of 2" in done.stdout and len((tmp_path / "log.csv").read_text().splitlines()) == 5
    for name in ("fine", "base"):
        model = cdzoo.create_model(f"local-dir:{tmp_path / name}")
        assert model.config.input_scale == 1.5
        counts = [value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")]
        assert counts and all(count == 4 for count in counts)
        assert json.loads((tmp_path / name / "training.json").read_text())["step"] == 4


def test_images_are_resampled_for_the_network_in_training(monkeypatch):
    """Coarse crops are smaller, and the network sees all at one size."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    tool = load("train_transfer")
    options = Namespace(encoder=None, init=None, input_scale=1.5, lr=1e-3, lr_encoder=1e-4, precision="fp32")
    options = Namespace(**vars(options), batch=5, crop=64, plain=0.2, coarse=0.4, coarse_scale=2)
    trainee, sizes = tool.Trainee("base", options, torch.device("cpu")), []
    trainee.model.register_forward_pre_hook(lambda _, images: sizes.extend(tuple(image.shape) for image in images))
    assert tool.batch_shares(options) == [(3, 64, False), (2, 32, True)]
    parts = [
        (torch.rand(n, 3, s, s), torch.rand(n, 3, s, s), torch.ones(n, s, s).long()) for n, s, _ in tool.batch_shares(options)
    ]
    assert trainee.step(parts, 96, 1.0).isfinite()
    assert sizes == [(5, 3, 96, 96)] * 2
    trainee.loss = lambda found, masks: 0 * found.mean() + len(masks) * (found.shape[-2:] == masks.shape[-2:])
    assert trainee.step(parts, 96, 1.0) == pytest.approx((3 * 3 + 2 * 2) / 5)  # by the number of crops
    options.coarse = 0.9
    with pytest.raises(ConfigError, match="more than all"):
        tool.batch_shares(options)
    options.coarse = 0
    with pytest.raises(ConfigError, match="0 of 5"):
        tool.batch_shares(options)


def test_weights_of_runs_are_averaged(tmp_path):
    tool, states = load("average_weights"), []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        torch.manual_seed(seed)
        cdzoo.save_pretrained(cdzoo.create_model("fc_siam_diff"), folder)
        (folder / "training.json").write_text(json.dumps({"seed": seed, "training": {"crop": 64}}))
        states.append(load_file(folder / "model.safetensors"))
    (tmp_path / "0" / "log.csv").write_text("step\n")
    tool.average([tmp_path / "0", tmp_path / "1"], tmp_path / "mean" / "fine")
    found = cdzoo.create_model(f"local-dir:{tmp_path / 'mean' / 'fine'}").state_dict()
    for key, value in found.items():
        expected = (states[0][key].double() + states[1][key].double()) / 2
        assert torch.equal(value, expected.to(value.dtype)), key
    written = load("bundle_weight").read_training(tmp_path / "mean" / "fine")
    assert written["seed"] == 0 and [one["seed"] for one in written["mean_of"]] == [0, 1]
    assert (tmp_path / "mean" / "fine" / "log.csv").read_text() == "step\n" and len([*(tmp_path / "mean").iterdir()]) == 1


def test_weights_of_different_models_are_not_averaged(tmp_path):
    tool = load("average_weights")
    for name in ("fc_siam_diff", "fc_siam_conc"):
        cdzoo.save_pretrained(cdzoo.create_model(name), tmp_path / name)
        (tmp_path / name / "training.json").write_text("{}")
    runs = [tmp_path / "fc_siam_diff", tmp_path / "fc_siam_conc"]
    with pytest.raises(InputError, match="not the same model"):
        tool.average(runs, tmp_path / "mean")
    with pytest.raises(InputError, match="two runs or more"):
        tool.average(runs[:1], tmp_path / "mean")
    with pytest.raises(InputError, match="exists; pass another folder"):
        tool.average(runs[:1] * 2, runs[0])
    (runs[0] / "training.json").unlink()
    with pytest.raises(InputError, match=r"training\.json not found"):
        tool.average(runs[:1] * 2, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_a_pool_draws_scenes_of_one_kind():
    pool = load("scene_pool")
    stream = pool.SceneStream(64, 4, 3, 0.2, 0.5, (1.0,))
    scenes = pool.Pool(stream, 0, 16, 4, torch.device("cpu"))
    images, masks = scenes.draw(4, 32, True)
    assert images.shape == (4, 2, 3, 32, 32) and masks.shape == (4, 32, 32) and 0 <= images.min() < images.max() <= 1
    rows, others = scenes.rows(True), scenes.rows(False)
    assert len(rows) + len(others) == scenes.made == len(scenes.rows(None)) and len(rows) and len(others)
    wide = SyntheticScenes(1 << 40, 64, seed=3, style="wide", resolution=1.0)
    assert all(torch.equal(scenes.images[i], torch.stack(list(wide[int(i)].images))) for i in rows)

"""Published weights: descriptions, files, loading by tag, and use without a network."""

import csv
import dataclasses
import json
import re
import socket
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import cdzoo
from cdzoo.cli.main import main
from cdzoo.constants import DEFAULT_WEIGHTS
from cdzoo.data.open import DataCfg
from cdzoo.engine.run import score_model
from cdzoo.errors import ConfigError, UnknownNameError, WeightsError
from cdzoo.inference.resolve import resolve_threshold
from cdzoo.io.files import check_sha256
from cdzoo.weights import WEIGHTS_FILE, PretrainedCfg, get_pretrained, register_pretrained
from cdzoo.weights.folder import read_folder
from cdzoo.weights.pretrained import _PRETRAINED, bundled_folder

BUNDLED = "glmamba_tiny.synthetic"
WIDE = "fc_siam_diff_efficientnet_lite0.synthetic_wide"
DEFAULT = f"{WIDE}_r358"
DIGEST = "0" * 64


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args):
        raise AssertionError("unexpected network access")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_bundled_weights_are_listed_and_the_default():
    assert cdzoo.list_pretrained() == [WIDE, DEFAULT, BUNDLED] and cdzoo.list_pretrained("bit*") == []
    assert cdzoo.list_models(pretrained=True) == [DEFAULT.partition(".")[0], "glmamba_tiny"]
    assert cdzoo.list_models("bit*", pretrained=True) == []
    assert get_pretrained("glmamba_tiny") is get_pretrained(BUNDLED)
    assert get_pretrained("fc_siam_diff_efficientnet_lite0") is get_pretrained(WIDE) and DEFAULT_WEIGHTS == DEFAULT


@pytest.mark.parametrize(("name", "scale"), [(WIDE, 1.0), (DEFAULT, 1.4)])
def test_weights_for_photographs_are_of_the_registered_model(name, scale):
    weight = get_pretrained(name)
    stored = read_folder(bundled_folder(weight))
    model = cdzoo.create_model("fc_siam_diff_efficientnet_lite0", input_scale=scale)
    assert stored.config == model.config
    model.load_state_dict(load_file(stored.weights), strict=True)
    assert sum(p.numel() for p in model.parameters()) <= 8e6
    notice = (Path(cdzoo.__file__).parents[1] / "NOTICE").read_text()
    assert "ML Illustrated" in weight.notes and "ML Illustrated" in notice and weight.license == "Apache-2.0"


@pytest.mark.parametrize("name", [WIDE, DEFAULT])
def test_weights_for_photographs_state_real_images_and_generated_ones(name):
    weight = get_pretrained(name)
    results = json.loads((bundled_folder(weight) / "results.json").read_text())
    tiles, whole = results["zero_shot"][:2]
    assert (tiles["protocol"]["name"], whole["protocol"]["name"]) == ("levir_256", "levir_1024_whole")
    assert all(one["protocol"]["threshold"] == weight.threshold and one["intervals"]["images"] == 35 for one in (tiles, whole))
    assert weight.zero_shot.startswith(f"f1 {100 * tiles['scores']['f1']:.2f} (95 % ") and "35 images" in weight.zero_shot
    calibration = results["calibration"]
    assert calibration["threshold"] == weight.threshold and calibration["weights_sha256"] == weight.sha256
    assert not any("test" in row["set"] for row in calibration["sets"])


def test_the_threshold_of_weights_is_used(pair_folder, tmp_path, capsys):
    threshold = get_pretrained(DEFAULT).threshold
    assert threshold != 0.5 and resolve_threshold(cdzoo.create_model(DEFAULT), None) == threshold
    root = pair_folder(1, 64)
    assert main(["eval", "--model", DEFAULT, "--data", str(root), "--out", str(tmp_path / "scores.json")]) == 0
    assert f"threshold {threshold:g}" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())["protocol"]["threshold"] == threshold


@pytest.mark.parametrize("name", cdzoo.list_pretrained())
class TestEveryTag:
    def test_description_is_complete(self, name):
        weight = get_pretrained(name)
        assert weight.name == name and weight.dataset and weight.protocol and weight.license and weight.citation
        config = cdzoo.create_model(name).config
        assert len(weight.bands) == config.bands[0] and len(weight.mean) in (1, config.bands[0])
        assert 0 < weight.metrics["f1"] < 1 and weight.provenance == "measured"

    def test_files_in_the_package(self, name):
        weight = get_pretrained(name)
        folder = bundled_folder(weight)
        assert (folder / WEIGHTS_FILE).stat().st_size <= 16_000_000
        check_sha256(folder / WEIGHTS_FILE, weight.sha256)
        results = json.loads((folder / "results.json").read_text())
        assert results["weights_sha256"] == weight.sha256 and results["split"] == "test"
        assert results["scores"]["f1"] == pytest.approx(weight.metrics["f1"], abs=1e-4)
        trained = results["trained"]
        assert trained["training"]["seed"] == trained["seed"] and trained["step"] > 0
        assert [*csv.DictReader((folder / "log.csv").open())]
        text = "".join((folder / file).read_text() for file in ("README.md", "results.json", "config.json"))
        assert "Apache-2.0" in text and not re.search(r"(^|[\s\"'=])(/|~/|[A-Z]:\\)\w", text), "an absolute path of some machine"


@pytest.mark.slow
@pytest.mark.parametrize("name", cdzoo.list_pretrained())
def test_bundled_weights_reach_their_score(name):
    weight = get_pretrained(name)
    model = cdzoo.create_model(name)
    result = score_model(model, "it", DataCfg("synthetic"), "test", torch.device("cpu"), threshold=weight.threshold)
    assert result["scores"]["f1"] == pytest.approx(weight.metrics["f1"], abs=1e-3)
    assert weight.protocol == f"{result['protocol']['name']} {result['protocol']['hash']}"


def test_loading_by_tag(pair):
    with torch.no_grad():
        named, default = (cdzoo.create_model(name, pretrained=True).eval()(*pair) for name in (BUNDLED, "glmamba_tiny"))
        tagged, chosen = cdzoo.create_model(BUNDLED), cdzoo.create_model("glmamba_tiny", pretrained="synthetic")
        outputs = [model.eval()(*pair) for model in (tagged, chosen, cdzoo.create_model("glmamba_tiny"))]
    assert all(torch.equal(named, other) for other in (default, *outputs[:2])) and not torch.equal(named, outputs[2])
    assert tagged.pretrained_cfg is get_pretrained(BUNDLED) and tagged.pretrained_cfg.threshold == 0.5
    with pytest.raises(UnknownNameError, match="has no weights 'nonsense'"):
        cdzoo.create_model("glmamba_tiny", pretrained="nonsense")
    with pytest.raises(UnknownNameError, match=r"'glmamba_tiny' has no weights 'synthetik'\. Did you mean 'synthetic'"):
        cdzoo.create_model("glmamba_tiny.synthetik")
    with pytest.raises(WeightsError, match=r"no weights of 'bit_levir' are published.*cdzoo train.*cdzoo convert"):
        cdzoo.create_model("bit_levir", pretrained=True)
    with pytest.raises(UnknownNameError, match="unknown model 'glmamba_tinny'"):
        cdzoo.create_model("glmamba_tinny.synthetic", pretrained=True)


def test_weights_require_the_same_components():
    with pytest.raises(WeightsError, match=r"another fusion, 'bfa' instead of 'cbam'"):
        cdzoo.create_model("glmamba_tiny", pretrained=True, fusion="cbam")
    with pytest.warns(UserWarning, match=r"1 adapted .*2 reinitialized"):
        model = cdzoo.create_model("glmamba_tiny", pretrained=True, in_chans=4, num_classes=2)
    assert model.config.in_chans == 4 and model.config.num_classes == 2


def test_weights_on_the_hub_are_pinned_and_verified(hub, tiny, monkeypatch):
    import hashlib

    model = cdzoo.create_model("glmamba_tiny")
    commit = model.push_to_hub("someone/model")
    digest = hashlib.sha256(hub.repos["someone/model"].commits[commit]["model.safetensors"]).hexdigest()
    for tag, sha256 in (("right", digest), ("wrong", DIGEST)):
        monkeypatch.setitem(
            _PRETRAINED, f"glmamba_tiny.{tag}", PretrainedCfg("glmamba_tiny", tag, sha256, repo="someone/model", revision=commit)
        )
    loaded = cdzoo.create_model("glmamba_tiny.right", pretrained=True)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert all(f"/resolve/{commit}/" in path for method, path in hub.log if method == "HEAD")
    with pytest.raises(WeightsError, match="damaged or not the weights that were published"):
        cdzoo.create_model("glmamba_tiny.wrong", pretrained=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sha256": "abc", "file": "x"}, "sha256 must be 64"),
        ({"sha256": DIGEST}, "either in the package"),
        ({"sha256": DIGEST, "file": "x", "repo": "a/b"}, "either in the package"),
        ({"sha256": DIGEST, "repo": "a/b", "revision": "main"}, "must be a commit"),
        ({"sha256": DIGEST, "file": "x", "provenance": "rumoured"}, "must be 'measured' or 'quoted'"),
    ],
)
def test_invalid_descriptions_raise(options, message):
    with pytest.raises(ConfigError, match=message):
        PretrainedCfg("glmamba_tiny", "x", **options)


def test_names_are_unique():
    weight = get_pretrained(BUNDLED)
    assert register_pretrained(weight) is weight
    with pytest.raises(ConfigError, match="already registered"):
        register_pretrained(PretrainedCfg("glmamba_tiny", "synthetic", DIGEST, file="other"))


@pytest.mark.parametrize(("given", "expected"), [(None, 1.0), (0.5, 0.5)])
def test_weights_state_the_scale_of_images(given, expected, monkeypatch):
    weight = dataclasses.replace(get_pretrained(BUNDLED), input_scale=given)
    monkeypatch.setitem(_PRETRAINED, BUNDLED, weight)
    assert cdzoo.create_model(BUNDLED).config.input_scale == expected
    assert cdzoo.create_model(BUNDLED, input_scale=2.0).config.input_scale == 2


def test_predict_and_demo_without_network(no_network, tmp_path, pair_folder, capsys):
    root = pair_folder(1, 64)
    start = time.monotonic()
    words = ["predict", str(root / "A" / "pair_0.png"), str(root / "B" / "pair_0.png"), "-o", str(tmp_path / "change.png")]
    assert main(words) == 0
    assert main(["demo", "-o", str(tmp_path / "demo.png"), "--size", "128"]) == 0
    out = capsys.readouterr().out
    threshold = get_pretrained(DEFAULT).threshold
    lines = [line for line in out.splitlines() if f"weights {DEFAULT} (sha256 " in line]
    assert len(lines) == 2 and all("zero-shot f1 " in line and "35 images" in line for line in lines)
    assert f"(threshold {threshold:g}, tiles of " in out and "f1 0." in out
    assert (tmp_path / "change.png").stat().st_size and (tmp_path / "demo.png").stat().st_size
    assert time.monotonic() - start < 300  # no training
    assert main(["list", "--kind", "weight"]) == 0
    assert "in the package" in capsys.readouterr().out

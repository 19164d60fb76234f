"""The weights that are listed exist, are what they say, and work without a network."""

import csv
import json
import re
import socket
import time

import pytest
import torch

import cdzoo
from cdzoo.cli.main import main
from cdzoo.data.source import DataCfg
from cdzoo.engine.score import score_model
from cdzoo.errors import ConfigError, UnknownNameError, WeightsError
from cdzoo.weights import WEIGHTS_FILE, PretrainedCfg, bundled_folder, get_pretrained, register_pretrained
from cdzoo.weights.loading import check_sha256
from cdzoo.weights.registry import _WEIGHTS

BUNDLED = "glmamba_tiny.synthetic"
DIGEST = "0" * 64


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args):
        raise AssertionError("something tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_bundled_weight_is_listed_and_is_the_default():
    assert cdzoo.list_pretrained() == [BUNDLED] and cdzoo.list_pretrained("bit*") == []
    assert cdzoo.list_models(pretrained=True) == ["glmamba_tiny"] and cdzoo.list_models("bit*", pretrained=True) == []
    assert get_pretrained("glmamba_tiny") is get_pretrained(BUNDLED)


@pytest.mark.parametrize("name", cdzoo.list_pretrained())
class TestEveryWeight:
    def test_it_is_described_completely(self, name):
        weight = get_pretrained(name)
        assert weight.name == name and weight.dataset and weight.protocol and weight.license and weight.citation
        config = cdzoo.create_model(name).config
        assert len(weight.bands) == config.bands[0] and len(weight.mean) in (1, config.bands[0])
        assert 0 < weight.metrics["f1"] < 1 and weight.provenance == "measured"

    def test_files_in_the_package_are_small_and_whole(self, name):
        weight = get_pretrained(name)
        folder = bundled_folder(weight)
        assert (folder / WEIGHTS_FILE).stat().st_size <= 5_000_000
        check_sha256(folder / WEIGHTS_FILE, weight.sha256)
        results = json.loads((folder / "results.json").read_text())
        assert results["weights_sha256"] == weight.sha256 and results["split"] == "test"
        assert results["scores"]["f1"] == pytest.approx(weight.metrics["f1"], abs=1e-4)
        assert results["trained"]["training"]["seed"] == 0
        epochs = [int(row["epoch"]) for row in csv.DictReader((folder / "log.csv").open())]
        assert epochs == list(range(1, results["trained"]["training"]["epochs"] + 1))
        text = "".join((folder / file).read_text() for file in ("README.md", "results.json", "config.json"))
        assert "Apache-2.0" in text and not re.search(r"(^|[\s\"'=])(/|~/|[A-Z]:\\)\w", text), "an absolute path of some machine"


@pytest.mark.slow
def test_the_bundled_weight_scores_what_it_says():
    model = cdzoo.create_model("glmamba_tiny", pretrained=True)
    result = score_model(model, "it", DataCfg("synthetic"), "test", torch.device("cpu"))
    assert result["scores"]["f1"] == pytest.approx(get_pretrained(BUNDLED).metrics["f1"], abs=1e-3)
    assert get_pretrained(BUNDLED).protocol == f"{result['protocol']['name']} {result['protocol']['hash']}"


def test_names_with_and_without_tag(pair):
    with torch.no_grad():
        named, default = (cdzoo.create_model(name, pretrained=True).eval()(*pair) for name in (BUNDLED, "glmamba_tiny"))
        fresh = cdzoo.create_model(BUNDLED).eval()(*pair)
    assert torch.equal(named, default) and not torch.equal(named, fresh)
    with pytest.raises(UnknownNameError, match=r"'glmamba_tiny' has no weights 'synthetik'\. Did you mean 'synthetic'"):
        cdzoo.create_model("glmamba_tiny.synthetik")
    with pytest.raises(WeightsError, match=r"no weights are published for 'bit_levir'.*cdzoo train.*cdzoo convert"):
        cdzoo.create_model("bit_levir", pretrained=True)
    with pytest.raises(UnknownNameError, match="no model 'glmamba_tinny'"):
        cdzoo.create_model("glmamba_tinny.synthetic", pretrained=True)


def test_parts_cannot_be_swapped_under_weights_but_bands_and_classes_adapt():
    with pytest.raises(WeightsError, match="does not fit model 'glmamba_tiny'"):
        cdzoo.create_model("glmamba_tiny", pretrained=True, fusion="cbam")
    with pytest.warns(UserWarning, match=r"1 adapted .*2 fresh"):
        model = cdzoo.create_model("glmamba_tiny", pretrained=True, in_chans=4, num_classes=3)
    assert model.config.in_chans == 4 and model.config.num_classes == 3


def test_a_weight_on_the_hub_is_fetched_at_its_commit_and_checked(hub, tiny, monkeypatch):
    import hashlib

    model = cdzoo.create_model("glmamba_tiny")
    commit = model.push_to_hub("someone/model")
    digest = hashlib.sha256(hub.repos["someone/model"].commits[commit]["model.safetensors"]).hexdigest()
    for tag, sha256 in (("right", digest), ("wrong", DIGEST)):
        monkeypatch.setitem(
            _WEIGHTS, f"glmamba_tiny.{tag}", PretrainedCfg("glmamba_tiny", tag, sha256, repo="someone/model", revision=commit)
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
        ({"sha256": DIGEST}, "either a file of the package or in a repository"),
        ({"sha256": DIGEST, "file": "x", "repo": "a/b"}, "either a file of the package or in a repository"),
        ({"sha256": DIGEST, "repo": "a/b", "revision": "main"}, "must be a commit"),
        ({"sha256": DIGEST, "file": "x", "provenance": "rumoured"}, "measured or quoted"),
    ],
)
def test_weights_that_could_change_or_be_missed_are_not_listed(options, message):
    with pytest.raises(ConfigError, match=message):
        PretrainedCfg("glmamba_tiny", "x", **options)


def test_a_name_is_taken_once():
    weight = get_pretrained(BUNDLED)
    assert register_pretrained(weight) is weight
    with pytest.raises(ConfigError, match="there is a weight"):
        register_pretrained(PretrainedCfg("glmamba_tiny", "synthetic", DIGEST, file="other"))


def test_predict_and_demo_need_no_network_and_no_training(no_network, tmp_path, pair_folder, capsys):
    root = pair_folder(1, 64)
    start = time.monotonic()
    words = ["predict", str(root / "A" / "pair_0.png"), str(root / "B" / "pair_0.png"), "-o", str(tmp_path / "change.png")]
    assert main(words) == 0
    assert main(["demo", "-o", str(tmp_path / "demo.png"), "--size", "128"]) == 0
    out = capsys.readouterr().out
    assert BUNDLED in out and "f1 0." in out
    assert (tmp_path / "change.png").stat().st_size and (tmp_path / "demo.png").stat().st_size
    assert time.monotonic() - start < 300  # it draws, it does not train
    assert main(["list", "--kind", "weight"]) == 0
    assert "in the package" in capsys.readouterr().out

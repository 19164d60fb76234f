"""Upload and download with the real client, against a local Hub."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from architectures import accepted_size, families, fill, images, shrunk, tensors
from hub_server import TOKEN, USER

import cdzoo
import cdzoo.weights.hub
from cdzoo.cli.main import main
from cdzoo.errors import InputError, WeightsError

NAME = f"{USER}/model"
FAST = ("bit_s4_dd8_dedim8", "changeformer_v6", "fc_ef", "glmamba_tiny", "mambabcd_tiny", "mambascd_tiny", "tinycd")


@pytest.fixture
def published(hub, tiny):
    """Publish a tiny model; return it and its commit."""
    model = fill(tiny()).eval()
    return model, model.push_to_hub(NAME)


def requests(hub, *methods):
    return [path for method, path in hub.log if method in methods]


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in families()])
def test_every_architecture_round_trips_bit_for_bit(hub, name):
    model = fill(cdzoo.create_model(name, **shrunk(name))).eval()
    commit = model.push_to_hub(f"{USER}/{name}")
    loaded = cdzoo.create_model(f"hf-hub:{USER}/{name}@{commit}").eval()
    pair = images(*accepted_size(model, 32, 40), bands=model.config.bands[0], batch=1)
    with torch.no_grad():
        assert all(map(torch.equal, tensors(loaded(*pair)), tensors(model(*pair))))
    assert loaded.config == model.config


def test_push_uploads_the_model_and_its_card(hub, published):
    assert set(hub.repos[NAME].commits[published[1]]) == {".gitattributes", "config.json", "model.safetensors", "README.md"}
    card = hub.repos[NAME].commits[published[1]]["README.md"].decode()
    assert card.startswith("---\nlicense: apache-2.0") and "glmamba_tiny" in card


def test_revisions_load_their_own_weights(hub, published, tiny, pair):
    model, first = published
    other = fill(tiny(fusion="sum")).eval()
    second = other.push_to_hub(NAME)
    assert first != second
    with torch.no_grad():
        for revision, expected in ((f"@{first}", model), (f"@{second}", other), ("@main", other), ("", other)):
            assert torch.equal(cdzoo.create_model(f"hf-hub:{NAME}{revision}").eval()(*pair), expected(*pair))


def test_push_to_a_branch(hub, published, tiny):
    commit = tiny(fusion="sum").push_to_hub(NAME, revision="experiment")
    assert hub.repos[NAME].branches == {"main": published[1], "experiment": commit}
    assert cdzoo.create_model(f"hf-hub:{NAME}@experiment").config.fusion.name == "sum"


def test_cached_commits_need_no_requests(hub, published):
    source = f"hf-hub:{NAME}@{published[1]}"
    cdzoo.create_model(source)
    hub.log.clear()
    cdzoo.create_model(source)
    assert hub.log == []
    cdzoo.create_model(f"hf-hub:{NAME}")
    assert {*hub.log} == {("HEAD", f"/{NAME}/resolve/main/config.json")}  # repeated if the machine is slow


def test_offline_mode_loads_from_the_cache(hub, published, monkeypatch, pair):
    import huggingface_hub.constants as constants

    cdzoo.create_model(f"hf-hub:{NAME}")
    hub.log.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with torch.no_grad():
        assert torch.equal(cdzoo.create_model(f"hf-hub:{NAME}").eval()(*pair), published[0](*pair))
    assert hub.log == []
    with pytest.raises(WeightsError, match="hf-hub:nobody/nothing@v1 could not be downloaded and is not in the cache"):
        cdzoo.create_model("hf-hub:nobody/nothing@v1")


def test_hub_environment_variables_are_honored(hub, published, tmp_path):
    """In a separate process: HF_ENDPOINT, HF_HOME, HF_TOKEN, then HF_HUB_OFFLINE."""
    code = f"import cdzoo; cdzoo.create_model('hf-hub:{NAME}'); print('loaded')"
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(cdzoo.__file__).parents[1])}
    env |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    hub.repos[NAME].private = True
    for changes, served in (({"HF_TOKEN": "wrong"}, False), ({}, True), ({"HF_HUB_OFFLINE": "1", "HF_TOKEN": ""}, True)):
        done = subprocess.run([sys.executable, "-c", code], env={**env, **changes}, capture_output=True, text=True)
        assert (done.stdout.strip() == "loaded") is served, done.stderr
    assert list((tmp_path / "home" / "hub").glob("models--*/snapshots/*/model.safetensors"))


class TestFailures:
    def test_missing_repositories_revisions_and_files_are_named(self, hub, published):
        with pytest.raises(
            WeightsError, match=r"hf-hub:someone/none could not be downloaded: the repository does not exist.*hf auth"
        ):
            cdzoo.create_model("hf-hub:someone/none")
        with pytest.raises(WeightsError, match=r"hf-hub:someone/model@v9 could not be downloaded: .*(404|Revision)"):
            cdzoo.create_model(f"hf-hub:{NAME}@v9")
        hub.repos[NAME].commit({"config.json": b"{}"}, "main")
        with pytest.raises(WeightsError, match=r"could not be downloaded: .*(404|Entry)"):
            cdzoo.create_model(f"hf-hub:{NAME}")
        for source in ("../../etc/passwd", "a/b/c", "a", "a/.."):
            with pytest.raises(WeightsError, match="expected owner/name"):
                cdzoo.weights.hub.download(source, "config.json")

    def test_private_repositories_require_a_token(self, hub, published, monkeypatch):
        hub.repos[NAME].private = True
        cdzoo.create_model(f"hf-hub:{NAME}@{published[1]}")
        monkeypatch.setenv("HF_TOKEN", "wrong")
        with pytest.raises(WeightsError, match="you have no access to it; log in"):
            cdzoo.create_model(f"hf-hub:{NAME}")

    def test_pushing_requires_a_token(self, hub, tiny, monkeypatch):
        monkeypatch.setenv("HF_TOKEN", "wrong")
        with pytest.raises(WeightsError, match=r"hf-hub:someone/model was refused \(401\): log in with a token"):
            tiny().push_to_hub(NAME)
        assert hub.repos == {}

    @pytest.mark.parametrize("status", [500, 503])
    def test_server_errors_are_retried(self, hub, published, status, pair):
        hub.fail("GET", "model.safetensors", status, times=2)
        with torch.no_grad():
            assert torch.equal(cdzoo.create_model(f"hf-hub:{NAME}").eval()(*pair), published[0](*pair))
        assert requests(hub, "GET").count(f"/{NAME}/resolve/{published[1]}/model.safetensors") == 3

    def test_persistent_server_errors_raise(self, hub, published, tmp_path):
        hub.fail("GET", "model.safetensors", 502, times=100)
        with pytest.raises(WeightsError, match=r"hf-hub:someone/model@\w+ failed: .*502"):
            cdzoo.create_model(f"hf-hub:{NAME}")
        assert not list((tmp_path / "hub_cache").rglob("snapshots/*/model.safetensors"))

    def test_truncated_downloads_are_resumed(self, hub, published, pair):
        hub.truncate("model.safetensors")
        with torch.no_grad():
            assert torch.equal(cdzoo.create_model(f"hf-hub:{NAME}").eval()(*pair), published[0](*pair))

    def test_persistently_truncated_downloads_leave_no_partial_file(self, hub, published, tmp_path):
        hub.truncate("model.safetensors", times=1000)
        with pytest.raises(WeightsError, match="could not be downloaded"):
            cdzoo.weights.hub.pull(NAME, tmp_path / "model")
        assert not (tmp_path / "model").exists()
        assert not list((tmp_path / "hub_cache").rglob("snapshots/*/model.safetensors"))
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".model")]

    def test_damaged_files_in_the_cache_raise(self, hub, published, tmp_path):
        cdzoo.create_model(f"hf-hub:{NAME}")
        (weights,) = (tmp_path / "hub_cache").rglob("snapshots/*/model.safetensors")
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.resolve().write_bytes(data)
        with pytest.raises(WeightsError, match=r"damaged or not the weights.*cdzoo pull --force"):
            cdzoo.create_model(f"hf-hub:{NAME}")
        cdzoo.weights.hub.pull(NAME, force=True)
        cdzoo.create_model(f"hf-hub:{NAME}")


class TestCommands:
    def test_push_and_pull(self, hub, tiny, tmp_path, capsys, pair):
        model = fill(tiny()).eval()
        model.save_pretrained(tmp_path / "run")
        (tmp_path / "run" / "log.csv").write_text("not for the public")
        assert main(["push", str(tmp_path / "run"), NAME]) == 0
        out = capsys.readouterr().out
        commit = hub.repos[NAME].branches["main"]
        assert commit in out and "wrote a model card" in out
        assert "log.csv" not in hub.repos[NAME].commits[commit] and "README.md" in hub.repos[NAME].commits[commit]
        assert main(["pull", f"{NAME}@{commit}", "-o", str(tmp_path / "copy")]) == 0
        assert sorted(file.name for file in (tmp_path / "copy").iterdir()) == ["README.md", "config.json", "model.safetensors"]
        with torch.no_grad():
            assert torch.equal(cdzoo.create_model(f"local-dir:{tmp_path / 'copy'}").eval()(*pair), model(*pair))
        assert main(["pull", NAME, "-o", str(tmp_path / "copy")]) == 2
        assert "already exists" in capsys.readouterr().err

    def test_push_to_a_private_repository(self, hub, tiny, tmp_path):
        tiny().save_pretrained(tmp_path / "run")
        assert main(["push", str(tmp_path / "run"), NAME, "--private"]) == 0
        assert hub.repos[NAME].private

    def test_folders_without_a_model_are_not_pushed(self, hub, tmp_path, capsys):
        assert main(["push", str(tmp_path), NAME]) == 2
        assert "config.json" in capsys.readouterr().err and hub.log == []
        with pytest.raises(InputError, match="no model to publish"):
            cdzoo.weights.hub.push(tmp_path, NAME)

    def test_pull_uses_the_cache_only_when_offline(self, hub, published, tmp_path, monkeypatch):
        import huggingface_hub.constants as constants

        assert main(["pull", NAME]) == 0
        hub.fail("GET", "/tree/", 500, times=100)
        assert main(["pull", NAME, "-o", str(tmp_path / "copy")]) == 2 and not (tmp_path / "copy").exists()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert main(["pull", NAME, "-o", str(tmp_path / "copy")]) == 0
        assert (tmp_path / "copy" / "README.md").is_file()

    def test_pull_into_the_cache(self, hub, published, capsys):
        assert main(["pull", NAME]) == 0
        assert published[1] in capsys.readouterr().out

"""Hubs that name files and commits by paths, or never answer; names of models that hold paths."""

import time

import pytest
from architectures import fill
from hub_server import USER

import cdzoo
import cdzoo.weights.hub
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError, WeightsError

NAME = f"{USER}/model"


@pytest.fixture
def commit(hub, tiny):
    return fill(tiny()).push_to_hub(NAME)


def files(folder):
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("name", ["../../evil", "{tmp}/evil", "..", "a\\..\\..\\evil", "x" * 200, "a/b"])
@pytest.mark.parametrize("what", ["etag", "commit", "commit of a missing file"])
def test_paths_as_names_are_refused(hub, commit, tmp_path, monkeypatch, name, what):
    import huggingface_hub.constants as constants

    cache = tmp_path / "deep" / "er" / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    before = files(tmp_path)
    hub.pretend(**{what.split()[0]: name.format(tmp=tmp_path)})
    with pytest.raises(WeightsError, match=r"hf-hub:someone/model could not be downloaded: .*which names no file"):
        cdzoo.weights.hub.download(NAME, "none.json" if "missing" in what else "config.json")
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "revision",
    [
        "../../../evil",
        "/abs/evil",
        "a/../../evil",
        "..",
        "a\\b",
        "C:evil",
        ".hidden",
        "a//b",
        "a/",
        "",
        "-/.x",
        "a\n",
        "a b",
        "x.lock",
    ],
)
def test_revisions_are_names(hub, revision, tmp_path):
    for load in (
        lambda: cdzoo.create_model(f"hf-hub:{NAME}@{revision}"),
        lambda: cdzoo.weights.hub.pull(f"{NAME}@{revision}", tmp_path / "m"),
    ):
        with pytest.raises(WeightsError, match="expected owner/name or owner/name@revision"):
            load()
    assert hub.log == [] and files(tmp_path) == []


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/1", "feature/a-b_c", "0" * 40, "fix#3"])
def test_branches_tags_and_commits_are_revisions(revision):
    assert cdzoo.weights.hub.split_source(f"a/b@{revision}") == ("a/b", revision)


def test_two_revisions_raise(hub, commit):
    with pytest.raises(ConfigError, match="different revisions"):
        cdzoo.ChangeDetector.from_pretrained(f"hf-hub:{NAME}@main", revision=commit)


def test_answers_that_are_not_those_of_a_hub_raise(hub, commit):
    hub.pretend(etag='"')
    with pytest.raises(WeightsError, match="hf-hub:someone/model could not be downloaded"):
        cdzoo.create_model(f"hf-hub:{NAME}")


def test_silent_hubs_are_given_up(hub, tiny, tmp_path, monkeypatch, capsys):
    import huggingface_hub.constants as constants

    folder = tiny().save_pretrained(tmp_path / "run")
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.2)
    for module in ("cdzoo.io.network", "cdzoo.io.hub_client", "cdzoo.weights.hub"):
        monkeypatch.setattr(f"{module}.PATIENCE", 0.3)
    monkeypatch.setattr("cdzoo.weights.hub.LEAST", 1 << 30)
    hub.silent = True
    begin = time.monotonic()
    assert main(["pull", NAME, "-o", str(tmp_path / "copy")]) == 2
    assert "hf-hub:someone/model could not be downloaded: the server sent 0 bytes" in capsys.readouterr().err
    assert main(["push", str(folder), NAME]) == 2
    assert "someone/model" in capsys.readouterr().err
    assert time.monotonic() - begin < 20 and not (tmp_path / "copy").exists()


def test_weights_that_are_not_finite_are_not_pushed(hub, tiny):
    model = tiny()
    next(model.parameters()).data.fill_(float("nan"))
    with pytest.raises(WeightsError, match="not finite"):
        model.push_to_hub(NAME)
    assert hub.repos == {}

"""Folders with a model in them."""

import json

import pytest
import torch

import cdzoo
from cdzoo.errors import ConfigError, InputError, WeightsError
from cdzoo.files import replace_atomically


def test_a_saved_model_comes_back_bit_for_bit(tiny, pair, tmp_path):
    model = tiny(fusion="cbam", neck=None, num_classes=2).eval()
    cdzoo.save_pretrained(model, tmp_path / "m")
    assert sorted(f.name for f in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]
    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}").eval()
    assert loaded.config == model.config
    with torch.no_grad():
        assert torch.equal(loaded(*pair), model(*pair))


def test_weights_that_do_not_fit_are_refused_with_counts(tiny, tmp_path):
    cdzoo.save_pretrained(tiny(), tmp_path / "m")
    with pytest.raises(WeightsError, match=r"keys match.*missing \(fusion.*unexpected \(fusion"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", fusion="cbam")
    with pytest.raises(WeightsError, match=r"of another shape \(head.classify"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", num_classes=3)


def test_incomplete_and_damaged_folders_are_named(tiny, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'none'}")
    folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"model\.safetensors is no readable"):
        cdzoo.create_model(f"local-dir:{folder}")
    weights.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match=r"model\.safetensors is no readable"):
        cdzoo.create_model(f"local-dir:{folder}")
    weights.unlink()
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        cdzoo.create_model(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fusoin": "bfa"}, "unknown key 'fusoin'.*'fusion'"),
        ({"fusion": {"name": "os.system"}}, "no fusion 'os.system'"),
        ({"fusion": {"name": "bfa", "class": "x"}}, "unknown key 'class' in the part"),
        ({"head": None}, "head"),
        ({"std": [0.0]}, "std must be positive"),
    ],
)
def test_configs_that_describe_no_model_are_refused(tiny, tmp_path, change, message):
    folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises((ConfigError, cdzoo.errors.UnknownNameError), match=message):
        cdzoo.create_model(f"local-dir:{folder}")


def test_config_must_be_a_json_object():
    for text in ("", "[]", "{"):
        with pytest.raises(ConfigError, match="JSON"):
            cdzoo.ModelCfg.from_json(text)


def test_the_hub_that_cannot_be_reached_is_named(monkeypatch, tmp_path):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="hf-hub:nobody/nothing@v1 could not be downloaded"):
        cdzoo.create_model("hf-hub:nobody/nothing@v1")
    with pytest.raises(WeightsError, match="could not be downloaded"):
        cdzoo.create_model("hf-hub:../../etc/passwd")


def test_files_appear_whole_or_not_at_all(tmp_path):
    file = tmp_path / "x.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError), replace_atomically(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
    with replace_atomically(file) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert file.read_text() == "new" and list(tmp_path.iterdir()) == [file]

"""Folders with a model in them."""

import json

import pytest
import torch
import yaml
from architectures import fill, images, shrunk

import cdzoo
from cdzoo.errors import ConfigError, InputError, WeightsError
from cdzoo.io.files import replace_atomically


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
    with pytest.raises(WeightsError, match=r"of another shape \(fusion"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", fusion_kwargs={"reduction": 2})


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


@pytest.mark.parametrize("name", cdzoo.list_models())
def test_every_model_comes_back_bit_for_bit(name, tmp_path):
    model = fill(cdzoo.create_model(name, **shrunk(name))).eval()
    model.save_pretrained(tmp_path / "m")
    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}").eval()
    pair = images(32, 40, bands=model.config.bands[0], batch=1)
    with torch.no_grad():
        assert torch.equal(loaded(*pair), model(*pair))


class TestOtherBandsAndClasses:
    @pytest.mark.parametrize("name", ["glmamba_tiny", "fc_ef", "fc_siam_diff", "changeformer", "rsm_cd_tiny", "bit"])
    def test_first_and_last_layers_are_adapted_and_it_says_so(self, name, tmp_path):
        model = fill(cdzoo.create_model(name, **shrunk(name))).eval()
        model.save_pretrained(tmp_path / "m")
        with pytest.warns(UserWarning, match=r"1 adapted \(backbone\..*fresh \(head\."):
            loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", in_chans=6, num_classes=4).eval()
        assert loaded(*images(32, 32, bands=6, batch=1)).shape == (1, 4, 32, 32)
        with pytest.warns(UserWarning, match="adapted"):
            twice = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", in_chans=6).eval()
        t1, t2 = images(32, 32, batch=1)
        with torch.no_grad():
            expected = model(t1, t2)
            given = twice(torch.cat([t1, t1], 1), torch.cat([t2, t2], 1))
        assert (given - expected).abs().max() < 1e-4 * expected.abs().max()  # the same picture twice is the same picture

    def test_grey_images_keep_their_response(self, tiny, tmp_path):
        model = fill(tiny()).eval()
        model.save_pretrained(tmp_path / "m")
        with pytest.warns(UserWarning, match="adapted"):
            grey = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", in_chans=1).eval()
        weights = [m.backbone.state_dict() for m in (model, grey)]
        (key,) = [k for k in weights[0] if weights[0][k].shape != weights[1][k].shape]
        torch.testing.assert_close(weights[1][key], 3 * weights[0][key][:, :1])

    def test_without_being_asked_nothing_is_adapted(self, tiny, tmp_path):
        tiny(num_classes=2).save_pretrained(tmp_path / "m")
        with pytest.raises(WeightsError, match="of another shape"):
            cdzoo.load_weights(tiny(), tmp_path / "m" / "model.safetensors")


def test_loading_what_fits_reports_the_rest(tiny, tmp_path):
    model = tiny(fusion="cbam")
    model.save_pretrained(tmp_path / "m")
    other = tiny(fusion="bfa")
    with pytest.warns(UserWarning, match="keys match"):
        report = cdzoo.load_weights(other, tmp_path / "m" / "model.safetensors", strict=False)
    assert not report.complete and report.missing and all(key.startswith("fusion.") for key in report.missing + report.unexpected)
    assert set(report.matched) | set(report.missing) == set(other.state_dict())
    assert all(torch.equal(other.state_dict()[key], model.state_dict()[key]) for key in report.matched)


def test_a_failed_load_changes_nothing(tiny, tmp_path):
    tiny(fusion="cbam").save_pretrained(tmp_path / "m")
    model = tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError):
        cdzoo.load_weights(model, tmp_path / "m" / "model.safetensors")
    with pytest.raises(WeightsError, match=r"sha256 is .*expected 0000"):
        cdzoo.load_weights(model, tmp_path / "m" / "model.safetensors", sha256="0" * 64)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_half_precision_weights_load_into_a_model_of_full_precision(tiny, tmp_path):
    from safetensors.torch import save_file

    model = tiny()
    state = {key: value.half() if value.ndim > 1 else value for key, value in model.state_dict().items()}
    save_file(state, tmp_path / "half.safetensors")
    assert cdzoo.load_weights(model, tmp_path / "half.safetensors").complete
    assert all(p.dtype == torch.float32 for p in model.parameters())


class TestForeignConfigs:
    @pytest.mark.parametrize("option", ["checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"])
    def test_a_config_cannot_make_the_backbone_open_files(self, option, tmp_path):
        model = cdzoo.create_model("glmamba_tiny", backbone="timm/resnet10t", fusion="diff")
        model.save_pretrained(tmp_path / "m")
        config = json.loads((tmp_path / "m" / "config.json").read_text())
        config["backbone"]["kwargs"][option] = "/etc/passwd"
        (tmp_path / "m" / "config.json").write_text(json.dumps(config))
        with pytest.raises(ConfigError, match=f"{option} would open or fetch files"):
            cdzoo.create_model(f"local-dir:{tmp_path / 'm'}")

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "timm/hf-hub:evil/model", "timm/../x", "builtins.eval", "timm/local-dir:/x"]
    )
    def test_names_that_lead_elsewhere_are_unknown(self, name, tiny, tmp_path):
        folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
        config = json.loads((folder / "config.json").read_text())
        config["backbone"] = {"name": name}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(cdzoo.errors.UnknownNameError, match=r"no backbone|has no model"):
            cdzoo.create_model(f"local-dir:{folder}")

    def test_a_config_of_absurd_size_or_of_bytes_is_refused(self, tiny, tmp_path):
        folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
        (folder / "config.json").write_text("[" * (2 << 20))
        with pytest.raises(ConfigError, match="bytes are no model config"):
            cdzoo.create_model(f"local-dir:{folder}")
        (folder / "config.json").write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigError, match="is no text"):
            cdzoo.create_model(f"local-dir:{folder}")

    def test_a_pickle_under_the_name_of_the_weights_is_not_run(self, tiny, tmp_path):
        folder, trace = cdzoo.save_pretrained(tiny(), tmp_path / "m"), tmp_path / "was_here"
        torch.save(Malicious(trace), folder / "model.safetensors")
        with pytest.raises(WeightsError, match="no readable safetensors file"):
            cdzoo.create_model(f"local-dir:{folder}")
        assert not trace.exists()


class TestModelCard:
    def test_it_says_what_a_user_must_know(self, tiny, tmp_path):
        results = {
            "scores": {"f1": 0.81234, "iou": 0.7, "precision": 0.8, "recall": 0.82, "oa": 0.9},
            "provenance": "measured",
            "data": {"data": "/home/somebody/levir"},
            "split": "test",
            "protocol": {"name": "levir_256", "hash": "abc", "threshold": 0.5},
        }
        (tmp_path / "results.json").write_text(json.dumps(results))
        folder = tiny().save_pretrained(tmp_path / "m", card=True, results=tmp_path / "results.json")
        card = (folder / "README.md").read_text()
        front = yaml.safe_load(card.split("---")[1])
        assert front["license"] == "apache-2.0" and front["library_name"] == "cdzoo"
        assert front["model-index"][0]["results"][0]["metrics"][0] == {"type": "f1", "value": 0.8123}
        for text in (
            "| f1 | 81.23 |",
            "hash abc",
            "measured",
            "Parameters".lower(),
            "GMACs",
            "Apache-2.0",
            "hf-hub:",
            "@article",
            "0.485",
        ):
            assert text in card
        assert "/home/somebody" not in card and "`levir`" in card

    def test_without_results_it_says_so(self, tiny, tmp_path):
        card = (tiny().save_pretrained(tmp_path / "m", card=True) / "README.md").read_text()
        assert "None are stored with these weights." in card and "model-index" not in card

    def test_results_that_are_not_there_stop_it(self, tiny, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            tiny().save_pretrained(tmp_path / "m", results=tmp_path / "none.json")
        assert not (tmp_path / "m").exists()


class Malicious:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))

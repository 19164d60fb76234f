"""Model folders."""

import dataclasses
import json
import re

import pytest
import torch
import yaml
from architectures import accepted_size, families, fill, images, shrunk, tensors

import cdzoo
from cdzoo.errors import ConfigError, InputError, WeightsError
from cdzoo.flops import describe_cost
from cdzoo.io.files import replace_atomically
from cdzoo.weights.card import model_card, write_card


def test_round_trip_is_exact(tiny, pair, tmp_path):
    model = tiny(fusion="cbam", neck=None, num_classes=2).eval()
    cdzoo.save_pretrained(model, tmp_path / "m")
    assert sorted(f.name for f in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]
    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}").eval()
    assert loaded.config == model.config
    with torch.no_grad():
        assert torch.equal(loaded(*pair), model(*pair))


def test_mismatched_weights_raise(tiny, tmp_path):
    cdzoo.save_pretrained(tiny(), tmp_path / "m")
    with pytest.raises(WeightsError, match="another fusion, 'bfa' instead of 'cbam'"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", fusion="cbam")
    with pytest.raises(WeightsError, match=r"of another shape \(fusion"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", fusion_kwargs={"reduction": 2})


def test_incomplete_and_damaged_folders_raise(tiny, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        cdzoo.create_model(f"local-dir:{tmp_path / 'none'}")
    folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"model\.safetensors is not a readable"):
        cdzoo.create_model(f"local-dir:{folder}")
    weights.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match=r"model\.safetensors is not a readable"):
        cdzoo.create_model(f"local-dir:{folder}")
    weights.unlink()
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        cdzoo.create_model(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fusoin": "bfa"}, "unknown key 'fusoin'.*'fusion'"),
        ({"fusion": {"name": "os.system"}}, "unknown fusion 'os.system'"),
        ({"fusion": {"name": "bfa", "class": "x"}}, "unknown key 'class' in the component"),
        ({"head": None}, "head"),
        ({"std": [0.0]}, "std must be greater than or equal to"),
    ],
)
def test_invalid_configs_raise(tiny, tmp_path, change, message):
    folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises((ConfigError, cdzoo.errors.UnknownNameError), match=message):
        cdzoo.create_model(f"local-dir:{folder}")


def test_config_must_be_a_json_object():
    for text in ("", "[]", "{"):
        with pytest.raises(ConfigError, match=r"JSON|must be a mapping"):
            cdzoo.ModelCfg.from_json(text)


def test_writes_are_atomic(tmp_path):
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


@pytest.mark.parametrize("name", families())
def test_every_model_round_trips(name, tmp_path):
    model = fill(cdzoo.create_model(name, **shrunk(name))).eval()
    model.save_pretrained(tmp_path / "m")
    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}").eval()
    pair = images(*accepted_size(model, 32, 40), bands=model.config.bands[0], batch=1)
    with torch.no_grad():
        assert all(map(torch.equal, tensors(loaded(*pair)), tensors(model(*pair))))


class TestOtherBandsAndClasses:
    @pytest.mark.parametrize("name", ["glmamba_tiny", "fc_ef", "fc_siam_diff", "changeformer", "rsm_cd_tiny", "bit"])
    def test_first_and_last_layers_are_adapted_with_a_warning(self, name, tmp_path):
        model = fill(cdzoo.create_model(name, **shrunk(name))).eval()
        model.save_pretrained(tmp_path / "m")
        classes = 3 - model.num_classes  # 1 becomes 2 and 2 becomes 1
        with pytest.warns(UserWarning, match=r"1 adapted \(backbone\..*reinitialized \(head\."):
            loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", in_chans=6, num_classes=classes).eval()
        assert loaded(*images(32, 32, bands=6, batch=1)).shape == (1, classes, 32, 32)
        with pytest.warns(UserWarning, match="adapted"):
            twice = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", in_chans=6).eval()
        t1, t2 = images(32, 32, batch=1)
        with torch.no_grad():
            expected = model(t1, t2)
            given = twice(torch.cat([t1, t1], 1), torch.cat([t2, t2], 1))
        assert (given - expected).abs().max() < 1e-4 * expected.abs().max()  # bands repeated twice give the same response

    def test_gray_images_keep_their_response(self, tiny, tmp_path):
        model = fill(tiny()).eval()
        model.save_pretrained(tmp_path / "m")
        with pytest.warns(UserWarning, match="adapted"):
            gray = cdzoo.create_model(f"local-dir:{tmp_path / 'm'}", in_chans=1).eval()
        weights = [m.backbone.state_dict() for m in (model, gray)]
        (key,) = [k for k in weights[0] if weights[0][k].shape != weights[1][k].shape]
        torch.testing.assert_close(weights[1][key], 3 * weights[0][key][:, :1])

    def test_nothing_is_adapted_by_default(self, tiny, tmp_path):
        tiny(num_classes=2).save_pretrained(tmp_path / "m")
        with pytest.raises(WeightsError, match="of another shape"):
            cdzoo.load_weights(tiny(), tmp_path / "m" / "model.safetensors")


def test_non_strict_loading_reports_mismatches(tiny, tmp_path):
    model = tiny(fusion="cbam")
    model.save_pretrained(tmp_path / "m")
    other = tiny(fusion="bfa")
    with pytest.warns(UserWarning, match="keys match"):
        report = cdzoo.load_weights(other, tmp_path / "m" / "model.safetensors", strict=False)
    assert not report.complete and report.missing and all(key.startswith("fusion.") for key in report.missing + report.unexpected)
    assert set(report.matched) | set(report.missing) == set(other.state_dict())
    assert all(torch.equal(other.state_dict()[key], model.state_dict()[key]) for key in report.matched)


def test_failed_loading_leaves_the_model_unchanged(tiny, tmp_path):
    tiny(fusion="cbam").save_pretrained(tmp_path / "m")
    model = tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError):
        cdzoo.load_weights(model, tmp_path / "m" / "model.safetensors")
    with pytest.raises(WeightsError, match=r"sha256 is .*expected 0000"):
        cdzoo.load_weights(model, tmp_path / "m" / "model.safetensors", sha256="0" * 64)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_half_precision_weights_load_into_float32(tiny, tmp_path):
    from safetensors.torch import save_file

    model = tiny()
    state = {key: value.half() if value.ndim > 1 else value for key, value in model.state_dict().items()}
    save_file(state, tmp_path / "half.safetensors")
    assert cdzoo.load_weights(model, tmp_path / "half.safetensors").complete
    assert all(p.dtype == torch.float32 for p in model.parameters())


class TestUntrustedConfigs:
    @pytest.mark.parametrize("option", ["checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"])
    def test_configs_must_not_open_files(self, option, tmp_path):
        model = cdzoo.create_model("glmamba_tiny", backbone="timm/resnet10t", fusion="diff")
        model.save_pretrained(tmp_path / "m")
        config = json.loads((tmp_path / "m" / "config.json").read_text())
        config["backbone"]["kwargs"][option] = "/etc/passwd"
        (tmp_path / "m" / "config.json").write_text(json.dumps(config))
        with pytest.raises(ConfigError, match=f"the arguments {option} of the backbone"):
            cdzoo.create_model(f"local-dir:{tmp_path / 'm'}")

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "timm/hf-hub:evil/model", "timm/../x", "builtins.eval", "timm/local-dir:/x"]
    )
    def test_unknown_backbones_raise(self, name, tiny, tmp_path):
        folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
        config = json.loads((folder / "config.json").read_text())
        config["backbone"] = {"name": name}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(cdzoo.errors.UnknownNameError, match=r"unknown backbone|has no model"):
            cdzoo.create_model(f"local-dir:{folder}")

    def test_oversized_and_binary_configs_raise(self, tiny, tmp_path):
        folder = cdzoo.save_pretrained(tiny(), tmp_path / "m")
        (folder / "config.json").write_text("[" * (2 << 20))
        with pytest.raises(ConfigError, match="is too large for a model config"):
            cdzoo.create_model(f"local-dir:{folder}")
        (folder / "config.json").write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigError, match="is not text"):
            cdzoo.create_model(f"local-dir:{folder}")

    def test_pickles_are_not_executed(self, tiny, tmp_path):
        folder, trace = cdzoo.save_pretrained(tiny(), tmp_path / "m"), tmp_path / "was_here"
        torch.save(Malicious(trace), folder / "model.safetensors")
        with pytest.raises(WeightsError, match="not a readable safetensors file"):
            cdzoo.create_model(f"local-dir:{folder}")
        assert not trace.exists()


class TestModelCard:
    def test_content(self, tiny, tmp_path):
        results = {
            "scores": {"f1": 0.81234, "iou": 0.7, "precision": 0.8, "recall": 0.82, "oa": 0.9},
            "provenance": "measured",
            "data": {"data": "/home/somebody/levir"},
            "split": "test",
            "protocol": {"name": "levir_256", "hash": "abc", "threshold": 0.5},
        }
        (tmp_path / "results.json").write_text(json.dumps(results))
        folder = tiny().save_pretrained(tmp_path / "m", card=True, results=tmp_path / "results.json", cost=describe_cost(tiny()))
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

    def test_markup_of_others_is_escaped(self, tiny, tmp_path):
        evil = "x</title><script>alert(1)</script> ![i](http://tracker) | `b` \x1b[2J\n\n# heading"
        texts = dict.fromkeys(("name", "description", "paper", "original", "license", "citation"), evil)
        config = dataclasses.replace(tiny().config, **{**texts, "citation": f"{evil}\n```\n<img src=x>"})
        zero_shot = {"scores": dict.fromkeys(("precision", "recall", "f1", "best_threshold_f1", "best_threshold"), 0.5)}
        zero_shot |= {"intervals": {"scores": {"f1": {"low": 0.1, "high": 0.2}}}, "data": evil}
        zero_shot |= {"protocol": {"name": evil, "scale": 2.0}}
        results = {"provenance": evil, "split": evil, "data": evil, "scores": {"f1": 0.5, "iou": 0.4}, "zero_shot": [zero_shot]}
        results["protocol"] = dict.fromkeys(("name", "hash", "threshold"), evil)
        card = model_card(config, results, 1, cost=evil, training=evil)
        body = card.split("---\n", 2)[2]
        assert body.count("```") == 4  # the two blocks of the card
        outside = re.sub(r"```.*?```|`[^`\n]*`", "", body.replace("\\`", "'"), flags=re.DOTALL)
        assert "alert(1)" in outside and not re.search(r"<[a-z/]|(?<!\\)\[i|^# heading", outside, re.MULTILINE)
        assert card.isprintable() or all(char.isprintable() or char == "\n" for char in card)
        assert yaml.safe_load(card.split("---")[1])["license"] == evil.lower()
        table = [line for line in body.splitlines() if line.startswith("| ") and "`" in line]
        assert len(table) == 1 and len(re.findall(r"(?<!\\)\|", table[0])) == 8 and "`, scale 2 |" in table[0]

    @pytest.mark.parametrize("results", ["{", "[]", '{"scores": 1}', '{"scores": {"f1": "x"}}', '{"zero_shot": [{}]}'])
    def test_odd_results_raise(self, tiny, tmp_path, results):
        (tmp_path / "results.json").write_text(results)
        with pytest.raises(InputError, match=r"results.json: no results of cdzoo"):
            write_card(tmp_path, tiny().config, 1)
        assert not (tmp_path / "README.md").exists()

    def test_without_results(self, tiny, tmp_path):
        card = (tiny().save_pretrained(tmp_path / "m", card=True) / "README.md").read_text()
        assert "None are stored with these weights." in card and "model-index" not in card

    def test_missing_results_raise(self, tiny, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            tiny().save_pretrained(tmp_path / "m", results=tmp_path / "none.json")
        assert not (tmp_path / "m").exists()


class Malicious:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))

"""`cdzoo eval` and `cdzoo reproduce`: means over seeds only, outputs apart from inputs, odd records beside the weights."""

import dataclasses
import json

import pytest
import torch

import cdzoo
from cdzoo.cli.main import exit_code, main
from cdzoo.data.open import DataCfg
from cdzoo.engine.run import score_model
from cdzoo.metrics import ChangeCounts
from cdzoo.protocol import Protocol
from cdzoo.results import ProtocolRecord, Results


@pytest.fixture
def save(tiny, tmp_path):
    """Save a model in a folder of `tmp_path`, with a record of its training if a seed is given."""

    def write(name, seed=None, training=None, **options):
        torch.manual_seed(hash(name) % 100)
        tiny(**options).save_pretrained(tmp_path / name)
        if seed is not None:
            record = ProtocolRecord.of(Protocol("folder"), {"val": ["a"]})
            settings = {"epochs": 3, "seed": seed, **(training or {})}
            results = Results("glmamba_tiny", "val", ChangeCounts().summary(), record, seed=seed, training=settings)
            results.write(tmp_path / name / "results.json")
        return str(tmp_path / name)

    return write


@pytest.fixture
def evaluate(pair_folder, capsys):
    data = str(pair_folder(2, 40, name="data"))

    def run(models, *words):
        code = main(["eval", "--model", *models, "--data", data, "--device", "cpu", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_only_seeds_of_one_model_with_equal_settings_are_averaged(save, evaluate, tmp_path):
    seeds = [save("first", 0), save("second", 1, {"device": "cuda"})]
    others = [
        save("again", 0),  # a seed is counted once
        save("longer", 1, {"epochs": 4}),
        save("fused", 1, fusion="sum"),
        save("unknown"),
        save("unknown too"),
    ]
    out = tmp_path / "s.json"
    code, text, _ = evaluate([*seeds, *others], "--out", out)
    content = json.loads(out.read_text())
    assert code == 0 and text.count("standard deviation of 2 runs") == 1 and len(content["runs"]) == 7
    assert [spread["models"] for spread in content["spreads"]] == [seeds] and "spread" not in content
    assert content["spreads"][0]["f1"]["values"] == [run["scores"]["f1"] for run in content["runs"][:2]]
    assert evaluate(seeds, "--out", out)[0] == 0 and "f1" in json.loads(out.read_text())["spread"]


def test_outputs_are_refused_before_the_work_if_they_are_inputs(save, evaluate, tmp_path):
    model, folder = save("run", 0), tmp_path / "run"
    (tmp_path / "link.json").symlink_to(folder / "results.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("")
    before = {file: file.read_bytes() for root in (folder, tmp_path / "data") for file in root.rglob("*.*")}
    for words, named in (
        (("--out", folder / "results.json"), "results.json"),
        (("--out", folder / "config.json"), "config.json"),
        (("--out", tmp_path / "link.json"), "link.json"),
        (("--per-image", f"{folder}/../run/results.json"), "results.json"),
        (("--out", tmp_path / "data" / "label" / "pair_0.png"), "use one of .json"),
        (("--robustness", tmp_path / "data" / "label" / "pair_0.png"), "pair_0.png"),
        (("--out", tmp_path / "folder.json"), "folder.json"),
        (("--out", tmp_path / "none" / "s.json"), "there is no folder"),
        (("--pictures", tmp_path / "file"), "is a file"),
        (("--out", tmp_path / "s.json", "--per-image", tmp_path / "s.json"), "s.json"),
        (("--split", "validation"), "Known: train, val, test"),
        (("--workers", "-1"), "--workers at least 0"),
    ):
        code, out, err = evaluate([model], *words)
        assert code == 2 and named in err and not out, (words, err)
    assert "named twice" in evaluate([model, model])[2]
    assert {file: file.read_bytes() for file in before} == before and not (tmp_path / "s.json").exists()


def test_pictures_of_models_of_one_name_are_apart(save, evaluate, tmp_path):
    models = [save("a/run"), save("b/run")]
    assert evaluate(models, "--pictures", tmp_path / "worst", "--worst", "1")[0] == 0
    assert len(list((tmp_path / "worst").glob("worst_*run.png"))) == 2


def _changed(results, **changes):
    data = results.to_dict()
    return json.dumps({**data, **{key: value(data) if callable(value) else value for key, value in changes.items()}})


ODD = {
    "cut off": lambda r: json.dumps(r.to_dict())[:200],
    "a number": lambda r: "3",
    "deep": lambda r: "[" * 100_000,
    "not finite": lambda r: _changed(r, scores=lambda d: {**d["scores"], "f1": float("nan")}),
    "protocol of text": lambda r: _changed(r, protocol="levir"),
    "protocol of a list": lambda r: _changed(r, protocol=[]),
    "threshold of text": lambda r: _changed(r, protocol=lambda d: {**d["protocol"], "threshold": "high"}),
    "splits of a list": lambda r: _changed(r, protocol=lambda d: {**d["protocol"], "splits": [1]}),
    "data without a folder": lambda r: _changed(r, data={"protocol": "x"}),
    "data of a list": lambda r: _changed(r, data=[1]),
    "unknown split": lambda r: _changed(r, split="everything"),
    "unknown option of the data": lambda r: _changed(r, data={"data": "x", "colour": 1}),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_records_are_named_or_left_aside(save, evaluate, pair_folder, tmp_path, capsys, kind):
    model = save("run", 0)
    file = tmp_path / "run" / "results.json"
    results = dataclasses.replace(Results.read(file), data={"data": str(tmp_path / "data")}, split="test")
    file.write_text(ODD[kind](results))
    assert main(["reproduce", model, "--device", "cpu"]) == 2
    assert "results.json" in capsys.readouterr().err
    code, _, err = evaluate([model])
    assert code == 0 or (code == 2 and "results.json" in err)


def test_a_missing_extra_is_one_message(capsys):
    def fail(name):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    assert exit_code("tool", lambda: fail("matplotlib.figure")) == 2
    assert capsys.readouterr().err == "tool: error: this requires matplotlib: pip install 'cdzoo[tools]'\n"
    with pytest.raises(ModuleNotFoundError):
        exit_code("tool", lambda: fail("my_module"))


def test_the_protocol_and_stored_scores_keep_their_scale_and_augmentation(pair_folder, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    model, data, folder = cdzoo.create_model("fc_siam_conc").eval(), DataCfg(str(pair_folder(4, 48))), tmp_path / "model"
    model.save_pretrained(folder)

    def score(**options):
        return score_model(model, str(folder), data, "all", threshold=0.05, **options)

    stored = score(scale=2.0, augment="flips")
    assert stored.protocol.protocol["scale"] == 2 and stored.protocol.protocol["augment"] == "flips"
    assert abs(stored.scores.f1 - score().scores.f1) > 1e-3
    stored.write(folder / "results.json")
    assert main(["reproduce", str(folder), "--device", "cpu"]) == 0, capsys.readouterr().out
    monkeypatch.setattr("cdzoo.data.protocols.FOLDER", Protocol("folder", scale=2.0, augment="flips"))
    assert score().scores == stored.scores
    assert "scale" not in score(scale=1.0, augment="none").protocol.protocol

"""Configs, options and run files with values of wrong types and ranges: each is refused, or gives a model."""

import json

import pytest
import timm  # noqa: F401  # takes seconds, which no round should count
import torchvision  # noqa: F401
import yaml

import cdzoo
from cdzoo.cli.main import main
from cdzoo.config import ModelOptions
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import CdzooError
from cdzoo.scenes.config import PolygonCfg, SceneCfg

TINY = {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 10**6, 10**12, 10**400, 0.0, 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf")),
    *("", "x", "true", "1", "0.5", "none", "default", "../..", "\0", "\x1b[2J", "é" * 300, "timm/resnet18", "instance:X"),
    *([], [1], [1, 2], [0], [-1, 3], [True], ["3"], [[1]], [1.5], [None], [0.5, 0.5, 0.5], [float("nan")] * 3, [10**9] * 4),
    *({}, {"a": 1}, {"name": "bfa"}, {"name": "x", "kwargs": {}}, {"name": "diff", "kwargs": {"channels": 3}}, {1: 2}),
]
COMPONENTS = [
    "bfa",
    "bit",
    "cbam",
    "changeformer",
    "conv",
    "csie",
    "csam",
    "fcn",
    "skips",
    "stepwise",
    "unet",
    "vss",
    "linear",
    "early",
]
ARGUMENTS = ["channels", "depths", "d_state", "scan", "drop_path", "expand", "reduction", "tokens", "heads", "kernel_size", "x"]


def pick(rng, values):
    return values[rng.integers(len(values))]


def change(rng, data):
    """Replace a value of nested mappings and lists by another one, or remove it."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    key = pick(rng, keys)
    if isinstance(data[key], dict | list) and data[key] and rng.random() < 0.5:
        change(rng, data[key])
    elif rng.random() < 0.1:
        del data[key]
    else:
        data[key] = pick(rng, VALUES)


@pytest.fixture(scope="module")
def config():
    """The config of a small model."""
    return cdzoo.create_model("glmamba_tiny", backbone_kwargs=TINY).config.to_dict()


def test_configs_of_models(fuzz, config):
    def one_round(rng, folder):
        data = json.loads(json.dumps(config))
        for _ in range(rng.integers(1, 3)):
            change(rng, data)
        if rng.random() < 0.4:
            kind = pick(rng, ["backbone", "neck", "fusion", "decoder", "head"])
            kwargs = {**(TINY if kind == "backbone" else {}), pick(rng, ARGUMENTS): pick(rng, VALUES)}
            data[kind] = {"name": pick(rng, COMPONENTS), "kwargs": kwargs}
        text = json.dumps(data)
        if rng.random() < 0.1:
            text = text[: rng.integers(len(text))]
        file = folder / "config.json"
        file.write_text(text)
        model = cdzoo.ChangeDetector.from_config(cdzoo.ModelCfg.from_json(file.read_text()))
        assert cdzoo.ModelCfg.from_json(model.config.to_json()) == model.config

    fuzz(one_round, 60)


def test_options_of_models(fuzz):
    fields = list(ModelOptions.__dataclass_fields__)

    def one_round(rng, folder):
        options = {"model_name": "glmamba_tiny", "backbone_kwargs": TINY}
        for _ in range(rng.integers(1, 3)):
            name = pick(rng, fields)
            options[name] = pick(rng, VALUES)
            if name.endswith("_kwargs") and rng.random() < 0.7:
                options[name] = {pick(rng, ARGUMENTS): pick(rng, VALUES)}
        try:
            options = ModelOptions(**options).arguments()
        except CdzooError:  # `create_model` is called with values that were not validated, too
            pass
        cdzoo.create_model(**{**options, "cache_dir": str(folder)})

    fuzz(one_round, 60)


@pytest.mark.parametrize("cls", [TrainCfg, SceneCfg, PolygonCfg])
def test_fields_of_settings(fuzz, cls):
    fields = list(cls.__dataclass_fields__)
    fuzz(lambda rng, folder: cls(**{pick(rng, fields): pick(rng, VALUES) for _ in range(rng.integers(1, 3))}) and None, 60)


def test_run_files(fuzz, monkeypatch):
    """Files that `train --config` reads; the data do not exist, so no run starts."""
    good = {"model": "glmamba_tiny", "data": "no_such_folder", "epochs": 1, "backbone_kwargs": TINY, "lr": 1e-3, "in_chans": 3}
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nmodel: *b\n"
    junk = [
        bomb,
        "[" * 2000,
        "{a: ",
        "\t",
        "\ufeff",
        "- a\n- b\n",
        "a: !!python/name:os.system\n",
        "9" * 5000,
        "<<: {model: x}",
        "? [a]\n: b",
    ]

    def one_round(rng, folder):
        monkeypatch.chdir(folder)
        data = dict(good)
        change(rng, data)
        text = yaml.safe_dump(data) if rng.random() < 0.6 else pick(rng, junk) + yaml.safe_dump(good)
        raw = bytearray(text.encode())
        for _ in range(rng.integers(4)):
            raw[rng.integers(len(raw))] = rng.integers(256)
        (folder / "run.yaml").write_bytes(raw)
        assert main(["train", "--config", "run.yaml", "--out", str(folder / "run")]) == 2
        return "refused"

    fuzz(one_round, 25)

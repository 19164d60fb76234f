"""`--log`: TensorBoard as it is, Weights & Biases and MLflow through recording loggers."""

import json
import types
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from cdzoo.engine import loggers
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.loggers import RunLogger
from cdzoo.errors import ConfigError, MissingDependencyError


class Recorder:
    """Stands for a logger of Lightning, and for its `experiment`."""

    made: ClassVar[list] = []

    def __init__(self, **options):
        self.options, self.calls = options, []
        self.version = self.run_id = options.get("id") or options.get("run_id") or "from-server"
        self.experiment = self
        self.made.append(self)

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


@pytest.fixture
def recorded(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Recorder, "made", [])
    fake = types.SimpleNamespace(WandbLogger=Recorder, MLFlowLogger=Recorder)
    monkeypatch.setattr(loggers, "require", lambda *_: fake)
    return Recorder.made


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_a_resumed_run_continues_its_log_and_stays_on_this_machine(tmp_path, recorded, monkeypatch, kind):
    for _ in range(2):
        logger = RunLogger(kind, tmp_path, 0, {"epochs": 3})
        logger.scores({"f1": 0.5}, 4)
        logger.picture(Image.new("RGB", (4000, 400)), 4)
        logger.close(failed=False)
    first, second = recorded
    names = [name for name, *_ in first.calls]
    assert names[0] == "log_hyperparams" and first.calls[1] == ("log_metrics", ({"f1": 0.5},), {"step": 4})
    shown = next(args for name, args, _ in first.calls if name == "log_image")[1]
    assert (shown[0] if kind == "wandb" else shown).size == (1600, 160) and "finalize" in names
    assert "log_hyperparams" not in [name for name, *_ in second.calls]  # MLflow refuses other values
    assert second.version == first.version == json.loads((tmp_path / "loggers.json").read_text())[kind]
    place = first.options["mode"] if kind == "wandb" else first.options["tracking_uri"]
    assert place == ("offline" if kind == "wandb" else "sqlite:///mlflow.db")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    (tmp_path / "loggers.json").unlink()
    RunLogger(kind, tmp_path, 0, {})
    assert "online" in recorded[-1].options.values() or "https://example.org" in recorded[-1].options.values()


def test_a_logger_that_cannot_start_is_named(tmp_path, recorded, monkeypatch):
    def fail(*_):
        raise RuntimeError("no\nlogin")

    monkeypatch.setitem(loggers._CREATE, "wandb", fail)
    with pytest.raises(ConfigError, match=r"--log wandb: cannot start the log \(no login\)"):
        RunLogger("wandb", tmp_path, 0, {})


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(MissingDependencyError, match=r"--log mlflow requires mlflow: pip install 'cdzoo\[mlflow\]'"):
        RunLogger("mlflow", tmp_path, 0, {})


def test_tensorboard_replaces_the_points_of_a_killed_run(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for start, steps in ((0, (2, 4, 6)), (4, (6, 8))):  # killed after step 6, and resumed from the state of step 4
        logger = RunLogger("tensorboard", tmp_path, start, {"epochs": 3})
        for step in steps:
            logger.scores({"f1": step / 10 + start}, step)
        logger.picture(Image.fromarray(np.zeros((40, 60, 3), np.uint8)), steps[-1])
        logger.close(failed=False)
    found = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, round(event.value, 3)) for event in found.Scalars("f1")] == [(2, 0.2), (4, 0.4), (6, 4.6), (8, 4.8)]
    assert found.Tags()["images"] == ["validation"] and not (tmp_path / "loggers.json").exists()


def test_the_former_option_still_works():
    with pytest.warns(DeprecationWarning, match="use log="):
        cfg = TrainCfg(tensorboard=True)
    assert cfg.log == ("tensorboard",)
    with pytest.raises(ConfigError, match=r"log must be 'tensorboard', 'wandb' or 'mlflow', got 'wandbb'. Did you mean 'wandb'"):
        TrainCfg(log=("wandbb",))

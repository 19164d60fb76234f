"""Logs of a training run besides its CSV file, through the loggers of Lightning: TensorBoard, Weights & Biases and MLflow."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cdzoo.engine.config import LoggerName
from cdzoo.errors import CdzooError, ConfigError, require
from cdzoo.io.files import write_json

RUNS_FILE = "loggers.json"
"""File in the folder of a run with the identifiers by which Weights & Biases and MLflow know it, to resume it."""
PROJECT = "cdzoo"
_MAX_WIDTH = 1600


class RunLogger:
    """One logger of a run.

    Nothing is sent over the network unless the user asks for it: by `WANDB_MODE=online`, or a server in `MLFLOW_TRACKING_URI`.

    Args:
        kind: Name of the logger.
        out: Folder of the run.
        step: Step after which the run starts or is resumed.
        settings: Settings to log.

    Raises:
        MissingDependencyError: The package of the logger is not installed.
        ConfigError: The logger cannot start, for example without a login or a server.
    """

    def __init__(self, kind: LoggerName, out: Path, step: int, settings: Mapping[str, Any]) -> None:
        self.kind = kind
        known = _read(out / RUNS_FILE)
        try:
            self.logger: Any = _CREATE[kind](out, step, known.get(kind))
            if kind not in known:  # MLflow refuses to change them, as a resumed run may
                self.logger.log_hyperparams(dict(settings))
            identifier = None if kind == "tensorboard" else self.logger.version
        except CdzooError:
            raise
        except Exception as error:  # whatever a logger raises that lacks a login, a server or a database
            raise ConfigError(f"--log {kind}: cannot start the log ({' '.join(str(error).split())[:300]})") from error
        if identifier is not None and known.get(kind) != identifier:
            write_json(out / RUNS_FILE, {**known, kind: identifier})

    def scores(self, values: Mapping[str, float], step: int) -> None:
        """Log the values of an epoch at its last step."""
        self.logger.log_metrics(dict(values), step=step)
        if self.kind == "tensorboard":
            self.logger.experiment.flush()

    def picture(self, picture: Image.Image, step: int) -> None:
        """Log a picture of validation samples, in at most 1600 columns."""
        shown = picture.convert("RGB")
        shown.thumbnail((_MAX_WIDTH, shown.height))
        if self.kind == "tensorboard":
            self.logger.experiment.add_image("validation", np.asarray(shown), step, dataformats="HWC")
        elif self.kind == "wandb":
            self.logger.log_image("validation", [shown], step=step)
        else:
            self.logger.experiment.log_image(self.logger.run_id, shown, f"validation/step_{step:08d}.png")

    def close(self, failed: bool) -> None:
        """Finish the run.

        Args:
            failed: Whether the training raised or was stopped.
        """
        self.logger.finalize("failed" if failed else "success")
        if self.kind == "wandb":
            self.logger.experiment.finish(exit_code=int(failed))


def _tensorboard(out: Path, step: int, _: str | None) -> Any:
    require("tensorboard", "log", "--log tensorboard")
    loggers: Any = require("lightning.fabric.loggers", "train", "training")
    # Points after the step, of a run that was killed, are replaced.
    return loggers.TensorBoardLogger(out, name="", version="tensorboard", default_hp_metric=False, purge_step=step + 1)


def _wandb(out: Path, _: int, identifier: str | None) -> Any:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its crash reports are sent in offline mode, too
    require("wandb", "wandb", "--log wandb")
    loggers: Any = require("lightning.pytorch.loggers", "train", "training")
    return loggers.WandbLogger(
        name=out.name,
        save_dir=out,
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=identifier or uuid.uuid4().hex[:8],
        resume="allow",
        mode=os.environ.get("WANDB_MODE", "offline"),
    )


def _mlflow(out: Path, _: int, identifier: str | None) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported
    require("mlflow", "mlflow", "--log mlflow")
    loggers: Any = require("lightning.pytorch.loggers", "train", "training")
    return loggers.MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
        run_name=out.name,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"),  # the default of MLflow itself
        run_id=identifier,
    )


_CREATE = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def _read(file: Path) -> dict[str, str]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

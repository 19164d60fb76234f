"""`TrainState`: everything that changes during training except tensors, and its files."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from cdzoo.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.setup import Setup, broadcast_buffers
from cdzoo.errors import ConfigError
from cdzoo.metrics import Scores
from cdzoo.models.detector import ChangeDetector
from cdzoo.weights.folder import WEIGHTS_FILE
from cdzoo.weights.state import read_tensors


@dataclass(frozen=True)
class Best:
    """The weights with the best validation score so far.

    Attributes:
        step: Number of optimizer steps after which they were validated.
        epoch: Number of epochs after which they were validated.
        scores: Their scores.
        weights: State dict on the CPU.
    """

    step: int
    epoch: int
    scores: Scores
    weights: dict[str, Tensor] = field(repr=False, compare=False)


@dataclass
class TrainState:
    """State of a training run, except for the weights, the optimizer and the gradient scaler.

    Attributes:
        settings: Settings that a resumed run must share, see `TrainCfg.fixed`.
        samples: Number of training samples.
        data_hash: Hash of the protocol and the data; empty if unknown.
        steps_per_epoch: Number of optimizer steps per epoch.
        step: Number of completed steps, including skipped ones.
        best: The best weights so far; None before the first validation.
        lr_scale: Factor of the plateau schedule.
        stale: Consecutive validations without improvement.
        skipped: Number of skipped steps.
        consecutive_skipped: Number of steps skipped since the last one that was not.
        loss_sum: Sum of the losses of this epoch.
        loss_count: Number of losses in `loss_sum`.
    """

    settings: dict[str, Any]
    samples: int
    data_hash: str
    steps_per_epoch: int
    step: int = 0
    best: Best | None = None
    lr_scale: float = 1.0
    stale: int = 0
    skipped: int = 0
    consecutive_skipped: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self.step // self.steps_per_epoch

    def exhausted(self, cfg: TrainCfg) -> bool:
        """Return whether `cfg.early_stopping` consecutive validations have not improved the score."""
        if self.best is None or cfg.early_stopping is None:
            return False
        return self.epoch - self.best.epoch >= cfg.early_stopping * cfg.validate_every

    @property
    def epoch_ended(self) -> bool:
        """Whether the last step was the last of its epoch."""
        return self.step % self.steps_per_epoch == 0

    def finish_step(self, loss: float | None) -> None:
        """Count a step and its loss; None for a skipped step."""
        self.step += 1
        if loss is not None:
            self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1

    def take_loss(self) -> float:
        """Return the mean loss since the last call, NaN without any, and start a new mean."""
        mean = self.loss_sum / self.loss_count if self.loss_count else float("nan")
        self.loss_sum, self.loss_count = 0.0, 0
        return mean

    def keep_best(self, scores: Scores, metric: str, model: ChangeDetector, cfg: TrainCfg) -> None:
        """Keep the weights of `model` if their score is the best so far; otherwise count a validation without improvement."""
        if self.best is None or scores[metric] > self.best.scores[metric]:
            self.stale = 0
            self.best = Best(self.step, self.epoch, scores, _copy(model))
        else:
            self.stale += 1
            if self.stale >= cfg.lr_decay_epochs:
                self.stale, self.lr_scale = 0, self.lr_scale * cfg.lr_decay

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the best weights are not included."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if self.best is not None:
            values["best"] = {"step": self.best.step, "epoch": self.best.epoch, "scores": self.best.scores.to_dict()}
        return values


def save(out: Path | None, state: TrainState, model: ChangeDetector, setup: Setup) -> None:
    """Write the training state; called by all processes, written by the first.

    Raises:
        TrainingError: A weight is not finite.
    """
    broadcast_buffers(setup.fabric, model)
    if out is not None and setup.fabric.is_global_zero:
        scaler = dict(setup.fabric._precision.state_dict())  # empty except in fp16
        values = {"optimizer": setup.optimizer.state_dict(), "scaler": scaler, "train": state.to_dict()}
        average = setup.ema.module.state_dict() if setup.ema else None
        save_checkpoint(out, state.step, Checkpoint(model.state_dict(), average, values))


def load(out: Path, new: TrainState, model: ChangeDetector, setup: Setup) -> TrainState:
    """Load the last training state into model, optimizer, moving average and gradient scaler.

    Args:
        out: Folder of the run.
        new: State of the run before its first step, which the loaded one must match.
        model: Model.
        setup: Optimizer, moving average and gradient scaler.

    Raises:
        InputError: There is no training state.
        WeightsError: It is damaged, or was written by another version of cdzoo.
        ConfigError: It belongs to a run with other settings, other data or another model.
    """
    checkpoint = load_checkpoint(out)
    values = checkpoint.state["train"]
    best = values.pop("best")
    state = TrainState(**values)
    _check(out, state, new)
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise ConfigError(f"{out}: the training state is of another model than {model.config.name} ({error})") from error
    setup.optimizer.load_state_dict(checkpoint.state["optimizer"])
    if setup.ema and checkpoint.ema is not None:
        setup.ema.module.load_state_dict(checkpoint.ema)
    if checkpoint.state["scaler"]:
        setup.fabric._precision.load_state_dict(checkpoint.state["scaler"])
    # The best weights are those of this training state, or those in the folder of the run.
    file, current = out / WEIGHTS_FILE, best is not None and best["step"] == state.step
    if best is not None and (current or file.is_file()):
        weights = _copy(setup.eval_model) if current else read_tensors(file)
        state.best = Best(best["step"], best["epoch"], TypeAdapter(Scores).validate_python(best["scores"]), weights)
    return state


def _check(out: Path, state: TrainState, new: TrainState) -> None:
    old, now = state.settings, new.settings
    changed = [f"{name} was {old.get(name)!r}, now {now[name]!r}" for name in now if old.get(name) != now[name]]
    if changed:
        raise ConfigError(
            f"{out}: a run must be resumed with its own settings: {', '.join(changed)}. Start a new run with another --out"
        )
    if state.samples != new.samples or state.data_hash != new.data_hash:
        raise ConfigError(
            f"{out}: the run was trained on {state.samples} samples, now there are {new.samples}, or the samples or the protocol "
            f"differ; pass the same data, or start a new run with another --out"
        )


def _copy(model: ChangeDetector) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

"""`TrainState`: everything that changes during training except tensors, and its files."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter
from torch import Tensor

from cdzoo.engine.checkpoint import Checkpoint, damage, newest, read_checkpoint, save_checkpoint
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.identity import Identity, differences
from cdzoo.engine.lora import merged
from cdzoo.engine.setup import Setup, broadcast_buffers
from cdzoo.errors import ConfigError, WeightsError
from cdzoo.metrics import Scores
from cdzoo.models.detector import ChangeDetector
from cdzoo.weights.folder import WEIGHTS_FILE
from cdzoo.weights.state import read_tensors
from cdzoo.weights.values import state_hash

_Index = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Best:
    """The weights with the best validation score so far.

    Attributes:
        step: Number of optimizer steps after which they were validated.
        epoch: Number of epochs after which they were validated.
        scores: Their scores.
        weights: State dict on the CPU.
        sha256: Hash of the weights, by which they are recognized in the folder of the run.
    """

    step: _Index
    epoch: _Index
    scores: Scores
    weights: dict[str, Tensor] = field(repr=False, compare=False, default_factory=dict)
    sha256: str = ""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)


@dataclass
class TrainState:
    """State of a training run, except for the weights, the optimizer and the gradient scaler.

    Attributes:
        identity: What a resumed run must share, see `identify`.
        steps_per_epoch: Number of optimizer steps per epoch.
        step: Number of completed steps, including skipped ones.
        best: The best weights so far; None before the first validation.
        lr_scale: Factor of the plateau schedule.
        stale: Consecutive validations without improvement.
        skipped: Number of skipped steps.
        consecutive_skipped: Number of steps skipped since the last one that was not.
        loss_sum: Sum of the losses of this epoch.
        loss_count: Number of losses in `loss_sum`.
        further_sums: Sums of what semi-supervised training logs, over the same steps.
    """

    identity: Identity
    steps_per_epoch: Annotated[int, Field(ge=1)]
    step: _Index = 0
    best: Best | None = None
    lr_scale: float = 1.0
    stale: _Index = 0
    skipped: _Index = 0
    consecutive_skipped: _Index = 0
    loss_sum: float = 0.0
    loss_count: _Index = 0
    further_sums: dict[str, float] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

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

    def finish_step(self, losses: Mapping[str, float] | None) -> None:
        """Count a step, its `loss` and what else is logged of it; None for a skipped step."""
        self.step += 1
        if losses is not None:
            self.loss_sum, self.loss_count = self.loss_sum + losses["loss"], self.loss_count + 1
            for name in losses.keys() - {"loss"}:
                self.further_sums[name] = self.further_sums.get(name, 0.0) + losses[name]

    def take_losses(self) -> dict[str, float]:
        """Return the mean loss since the last call, NaN without any, and further means, and start new ones."""
        sums = {"loss": self.loss_sum, **self.further_sums}
        count = self.loss_count
        self.loss_sum, self.loss_count, self.further_sums = 0.0, 0, {}
        return {name: value / count if count else float("nan") for name, value in sums.items()}

    def keep_best(self, scores: Scores, metric: str, model: ChangeDetector, cfg: TrainCfg) -> None:
        """Keep the weights of `model` if their score is the best so far; otherwise count a validation without improvement."""
        if self.best is None or scores[metric] > self.best.scores[metric]:
            self.stale = 0
            weights = _copy(model)
            self.best = Best(self.step, self.epoch, scores, weights, state_hash(weights))
        else:
            self.stale += 1
            if self.stale >= cfg.lr_decay_epochs:
                self.stale, self.lr_scale = 0, self.lr_scale * cfg.lr_decay

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the best weights are not included."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if self.best is not None:
            plain = {"scores": self.best.scores.to_dict(), "weights": {}}
            values["best"] = {f.name: getattr(self.best, f.name) for f in dataclasses.fields(self.best)} | plain
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
    """Load the last training state that is not damaged into model, optimizer, moving average and gradient scaler.

    Args:
        out: Folder of the run.
        new: State of the run before its first step, whose identity the loaded one must share.
        model: Model.
        setup: Optimizer, moving average and gradient scaler.

    Raises:
        InputError: There is no training state.
        WeightsError: All of them are damaged, or were written by another version of cdzoo.
        ConfigError: They belong to a run with other settings, other data or another model.
    """
    state = newest(out, functools.partial(_restore, identity=new.identity, model=model, setup=setup))
    if state.best is None:
        return state
    # The best weights are those of this training state, or those in the folder of the run.
    file = out / WEIGHTS_FILE
    weights: Mapping[str, Tensor] = {}
    if state.best.step == state.step:
        weights = _copy(setup.eval_model)
    elif file.is_file():
        try:
            weights = read_tensors(file)
        except WeightsError as error:
            warnings.warn(str(error), stacklevel=2)
    if state_hash(weights) != state.best.sha256:
        warnings.warn(f"{file} are not the best weights until step {state.step}: the selection starts again there", stacklevel=2)
        return dataclasses.replace(state, best=None)
    return dataclasses.replace(state, best=dataclasses.replace(state.best, weights=dict(weights)))


def _restore(path: Path, identity: Identity, model: ChangeDetector, setup: Setup) -> TrainState:
    """Load one training state.

    Raises:
        WeightsError: It is damaged, or was written by another version of cdzoo.
        ConfigError: It belongs to another run.
    """
    checkpoint = read_checkpoint(path)
    with damage(path):
        state = TypeAdapter(TrainState).validate_python(checkpoint.state["train"])
        optimizer, scaler = checkpoint.state["optimizer"], checkpoint.state["scaler"]
    if changed := differences(state.identity, identity):
        raise ConfigError(
            f"{path.parents[1]}: a run must be resumed with its own settings, model and data: {', '.join(changed)}. Start a new "
            "run with another --out"
        )
    with damage(path):
        model.load_state_dict(checkpoint.weights)
        setup.optimizer.load_state_dict(optimizer)
        if setup.ema:
            setup.ema.module.load_state_dict(checkpoint.ema)
        if scaler:
            setup.fabric._precision.load_state_dict(scaler)
    return state


def _copy(model: ChangeDetector) -> dict[str, Tensor]:
    with merged(model):
        return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

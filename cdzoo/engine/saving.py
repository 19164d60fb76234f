"""Objects of a training run, and how they are saved and restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from cdzoo.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.setup import broadcast_buffers
from cdzoo.engine.state import TrainState
from cdzoo.errors import ConfigError
from cdzoo.io.files import file_sha256
from cdzoo.metrics import Scores
from cdzoo.models.detector import ChangeDetector
from cdzoo.protocol import Protocol
from cdzoo.results import RESULTS_FILE, Environment, ProtocolRecord, Results
from cdzoo.weights.folder import WEIGHTS_FILE


class Run(NamedTuple):
    """Objects of a run that checkpoints contain or describe."""

    fabric: Any
    model: ChangeDetector
    ema: Any
    optimizer: Any
    cfg: TrainCfg
    out: Path | None
    protocol: Protocol
    record: ProtocolRecord | None
    extra: dict[str, Any]

    @property
    def eval_model(self) -> ChangeDetector:
        """Model that is validated and saved: the moving average if there is one."""
        return self.model if self.ema is None else self.ema.module


def save_run(run: Run, state: TrainState, steps_per_epoch: int) -> None:
    """Write a checkpoint, and the best weights if they are those of this step."""
    broadcast_buffers(run.fabric, run.model)
    if run.fabric.is_global_zero and run.out is not None:
        average = None if run.ema is None else run.ema.module.state_dict()
        scaler = dict(run.fabric._precision.state_dict())
        training = {**state.to_dict(), "optimizer": run.optimizer.state_dict(), "scaler": scaler}
        save_checkpoint(run.out, Checkpoint(state.step, run.model.state_dict(), average, training))
        # After the checkpoint, which rejects weights that are not finite, and from which a resumed run writes them again.
        if state.best_step == state.step:
            _write_best(run, state, steps_per_epoch)
    run.fabric.barrier()


def _write_best(run: Run, state: TrainState, steps_per_epoch: int) -> None:
    assert run.out is not None
    run.eval_model.save_pretrained(run.out)
    results = run_results(run, state, steps_per_epoch)
    results.weights_sha256 = file_sha256(run.out / WEIGHTS_FILE)
    results.write(run.out / RESULTS_FILE)


def restore_run(run: Run, num_samples: int, data_hash: str, steps_per_epoch: int) -> tuple[TrainState, dict[str, Tensor]]:
    """Restore the last checkpoint and return the training state and the best weights; none if they are lost.

    Raises:
        InputError: There is no checkpoint.
        ConfigError: The settings, data or model differ from those of the run.
    """
    from safetensors.torch import load_file

    assert run.out is not None
    checkpoint = load_checkpoint(run.out)
    state = TrainState.from_dict(checkpoint.training, run.out)
    state.check_resumable(run.out, run.cfg, num_samples, data_hash)
    try:
        run.model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise ConfigError(f"{run.out}: the run is of another model than {run.model.config.name} ({error})") from error
    run.optimizer.load_state_dict(checkpoint.training["optimizer"])
    if run.ema is not None and checkpoint.average is not None:
        run.ema.module.load_state_dict(checkpoint.average)
    if checkpoint.training["scaler"]:
        run.fabric._precision.load_state_dict(checkpoint.training["scaler"])
    if state.best_step and state.best_step == state.step:  # the run may have been killed before it wrote them
        if run.fabric.is_global_zero:
            _write_best(run, state, steps_per_epoch)
        return state, copy_weights(run.eval_model)
    if state.best_step and (run.out / WEIGHTS_FILE).is_file():
        return state, load_file(run.out / WEIGHTS_FILE)
    state.best_score, state.best_step = -1.0, 0
    return state, {}


def run_results(run: Run, state: TrainState, steps_per_epoch: int) -> Results:
    """Return the results of the best validation."""
    return Results(
        model=run.model.config.name,
        split=run.protocol.selection_split,
        scores=Scores.from_dict(state.best_scores),
        protocol=run.record,
        environment=Environment.current(run.fabric.device, run.fabric.world_size),
        step=state.best_step,
        epoch=state.best_step // steps_per_epoch,
        seed=run.cfg.seed,
        training=run.cfg.fixed() | {"epochs": run.cfg.epochs},
        data=run.extra.get("data"),
        extra={key: value for key, value in run.extra.items() if key != "data"},
    )


def copy_weights(model: ChangeDetector) -> dict[str, Tensor]:
    """Return a copy of the weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

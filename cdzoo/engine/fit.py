"""`fit`: the training loop."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cdzoo.data.protocols import get_protocol
from cdzoo.data.sampler import Samples
from cdzoo.engine.checkpoint import Checkpoint, load_checkpoint, remove_checkpoints, save_checkpoint
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.log import RunLog
from cdzoo.engine.pictures import validation_picture
from cdzoo.engine.schedule import lr_factor
from cdzoo.engine.setup import any_process, broadcast_buffers, build_ema, build_optimizer, build_sampler, launch, load_steps
from cdzoo.engine.setup import worker_count as worker_count
from cdzoo.engine.shutdown import GracefulShutdown
from cdzoo.engine.state import TrainState
from cdzoo.engine.step import BufferBackup, Objective, train_step
from cdzoo.errors import ConfigError, InputError, TrainingError, require
from cdzoo.inference.evaluate import evaluate
from cdzoo.io.files import file_sha256
from cdzoo.layers import SS2D
from cdzoo.metrics import Scores
from cdzoo.models.detector import ChangeDetector
from cdzoo.ops.backends import choose
from cdzoo.protocol import Protocol
from cdzoo.results import RESULTS_FILE, Environment, ProtocolRecord, Results
from cdzoo.weights.folder import WEIGHTS_FILE


class _Run(NamedTuple):
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


def train(
    model: ChangeDetector,
    train_set: Samples,
    val_set: Samples,
    cfg: TrainCfg,
    out: str | Path | None = None,
    protocol: Protocol | None = None,
    facts: dict[str, Any] | None = None,
    resume: bool = False,
) -> Results:
    """Train a model in place and keep the weights with the best score on the validation set.

    With `out`, the folder contains the best weights (`config.json`, `model.safetensors`, `results.json`), the log (`log.csv`),
    pictures, and the last two checkpoints. A run that was interrupted in any way and is resumed ends with the same weights as one
    that was not, bit for bit on one machine with `cfg.deterministic`. Several processes are used if `cfg.devices` or `cfg.nodes`
    request them, or if torchrun or SLURM started this one.

    Args:
        model: The model. Afterwards it is in evaluation mode on the CPU, with the best weights (of the moving average with
            `cfg.ema`).
        train_set: Training samples.
        val_set: Validation samples, of any sizes.
        cfg: Settings.
        out: Folder of the run; nothing is written by default.
        protocol: Protocol of the validation; `folder` by default.
        facts: Further entries of `results.json`. The entry `protocol` is a `ProtocolRecord`, or its JSON values.
        resume: Continue from the last checkpoint in `out`.

    Returns:
        Results of the best validation.

    Raises:
        MissingDependencyError: Lightning is not installed.
        InputError: There are no samples, or no checkpoint to resume from.
        ConfigError: The settings are invalid together, or differ from those of the run that is resumed.
        TrainingError: Training was interrupted, or too many consecutive steps were not finite.
    """
    require("lightning.fabric", "train", "training")
    if not len(train_set) or not len(val_set):
        raise InputError("there are no pairs to train or validate on")
    if resume and out is None:
        raise InputError("resume requires the folder of the run: out=FOLDER")
    folder = None if out is None else Path(out)
    if folder is not None:
        model.config.to_json()  # fails for a model that cannot be saved
        folder.mkdir(parents=True, exist_ok=True)
    extra = dict(facts or {})
    record = extra.pop("protocol", None)
    if record is not None and not isinstance(record, ProtocolRecord):
        record = ProtocolRecord.from_dict(record)
    with _deterministic(cfg.deterministic):
        return fit(model, train_set, val_set, cfg, folder, protocol or get_protocol(None), record, extra, resume)


def fit(
    model: ChangeDetector,
    train_set: Samples,
    val_set: Samples,
    cfg: TrainCfg,
    out: Path | None,
    protocol: Protocol,
    record: ProtocolRecord | None = None,
    extra: dict[str, Any] | None = None,
    resume: bool = False,
) -> Results:
    """Run the training loop; see `train` for the arguments."""
    fabric = launch(cfg)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    model.to(fabric.device)
    ema = build_ema(model, cfg)
    objective: Any = Objective(model, cfg)
    objective, optimizer = fabric.setup(torch.compile(objective) if cfg.compile else objective, build_optimizer(model, cfg))
    run = _Run(fabric, model, ema, optimizer, cfg, out, protocol, record, extra or {})
    steps_per_epoch = build_sampler(cfg, fabric, len(train_set), 0, 0).steps_per_epoch
    total = cfg.epochs * steps_per_epoch
    state, best_weights = _start(run, len(train_set), steps_per_epoch, resume)
    sampler = build_sampler(cfg, fabric, len(train_set), state.step, total)
    steps = load_steps(cfg, fabric, train_set, sampler)
    backup = BufferBackup(model)
    with GracefulShutdown() as shutdown, _open_log(run, state, total) as log:
        while state.step < total:
            started = time.perf_counter()
            micro_batches = next(steps)
            waited = time.perf_counter() - started
            model.train()
            lr = _learning_rate(state, total, steps_per_epoch, cfg)
            loss = train_step(fabric, objective, optimizer, backup, micro_batches, lr, state, cfg)
            if loss is not None:
                _update_ema(run)
                state.add_loss(loss)
            state.step += 1
            log.step(sampler.batch_size, waited, loss, state.skipped)
            epoch_ended = state.step % steps_per_epoch == 0
            if epoch_ended:
                epoch = state.step // steps_per_epoch
                scores = None
                if epoch % cfg.validate_every == 0 or state.step == total:
                    scores, best_weights = _validate(run, val_set, state, best_weights)
                log.epoch(state.step, epoch, lr, state.pop_loss(), state.skipped, scores)
                if cfg.pictures_every and epoch % cfg.pictures_every == 0 and fabric.is_global_zero:
                    log.picture(validation_picture(run.eval_model, val_set, protocol, fabric.device), epoch, state.step)
            stop = any_process(fabric, shutdown.requested is not None)
            if epoch_ended or stop or (cfg.checkpoint_every and state.step % cfg.checkpoint_every == 0):
                _save(run, state, steps_per_epoch)
            if stop:
                _interrupt(shutdown.requested, state.step, out)
        if not best_weights:  # a finished run was resumed without new epochs
            _, best_weights = _validate(run, val_set, state, best_weights)
            _save(run, state, steps_per_epoch)
    model.load_state_dict(best_weights)
    model.cpu().eval()
    return _results(run, state, steps_per_epoch)


def _start(run: _Run, num_samples: int, steps_per_epoch: int, resume: bool) -> tuple[TrainState, dict[str, Tensor]]:
    data_hash = run.record.hash if run.record else ""
    if resume:
        return _restore(run, num_samples, data_hash, steps_per_epoch)
    if run.out is not None and run.fabric.is_global_zero:
        remove_checkpoints(run.out)
    return TrainState(settings=run.cfg.fixed(), num_samples=num_samples, data_hash=data_hash), {}


def _open_log(run: _Run, state: TrainState, total: int) -> RunLog:
    leader, cfg = run.fabric.is_global_zero, run.cfg
    scans = any(isinstance(module, SS2D) for module in run.model.modules())
    labels = {"scan": choose(run.fabric.device.type)} if scans else {}
    out = run.out if leader else None
    return RunLog(out, total, state.step, run.fabric.device, cfg.tensorboard, cfg.progress and leader, labels)


def _learning_rate(state: TrainState, total: int, steps_per_epoch: int, cfg: TrainCfg) -> float:
    decay_steps = cfg.lr_decay_epochs * steps_per_epoch
    factor = lr_factor(state.step, total, cfg.schedule, cfg.warmup_steps, cfg.power, cfg.lr_decay, decay_steps)
    return cfg.lr * factor * (state.lr_factor if cfg.schedule == "plateau" else 1.0)


def _update_ema(run: _Run) -> None:
    if run.ema is not None:
        broadcast_buffers(run.fabric, run.model)
        run.ema.update(run.model)


def _validate(
    run: _Run, val_set: Samples, state: TrainState, best_weights: dict[str, Tensor]
) -> tuple[Scores, dict[str, Tensor]]:
    broadcast_buffers(run.fabric, run.model)
    fabric, cfg = run.fabric, run.cfg
    counts = evaluate(
        run.eval_model,
        val_set,
        run.protocol,
        fabric.device,
        max(1, cfg.batch_size // fabric.world_size),
        worker_count(cfg, fabric.device),
        fabric.global_rank,
        fabric.world_size,
        {"bf16": torch.bfloat16, "fp16": torch.float16}.get(cfg.precision),
    )
    counts.all_reduce()
    scores: Scores = counts.summary()
    if scores.tp + scores.fp == 0 and fabric.is_global_zero:
        warnings.warn(
            f"after step {state.step} no pixel of the validation pairs is predicted as changed (threshold "
            f"{run.protocol.threshold}). This is normal at first; if it persists, the learning rate is too high or too low, "
            f"change is too rare for the loss (try loss=bce+dice or change_weight=5), or the masks are empty "
            f"(cdzoo data check shows the share of changed pixels)",
            stacklevel=2,
        )
    if state.keep_best(scores, run.protocol.metric, cfg):
        best_weights = _copy_weights(run.eval_model)
    return scores, best_weights


def _save(run: _Run, state: TrainState, steps_per_epoch: int) -> None:
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


def _write_best(run: _Run, state: TrainState, steps_per_epoch: int) -> None:
    assert run.out is not None
    run.eval_model.save_pretrained(run.out)
    results = _results(run, state, steps_per_epoch)
    results.weights_sha256 = file_sha256(run.out / WEIGHTS_FILE)
    results.write(run.out / RESULTS_FILE)


def _restore(run: _Run, num_samples: int, data_hash: str, steps_per_epoch: int) -> tuple[TrainState, dict[str, Tensor]]:
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
        return state, _copy_weights(run.eval_model)
    if state.best_step and (run.out / WEIGHTS_FILE).is_file():
        return state, load_file(run.out / WEIGHTS_FILE)
    state.best_score, state.best_step = -1.0, 0
    return state, {}


def _results(run: _Run, state: TrainState, steps_per_epoch: int) -> Results:
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


def _interrupt(signal: str | None, step: int, out: Path | None) -> None:
    resume = f"continue with: cdzoo train --resume {out}" if out else "nothing was saved, as no folder was given"
    raise TrainingError(f"interrupted by {signal or 'another process'} after step {step}; {resume}")


def _copy_weights(model: ChangeDetector) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


@contextmanager
def _deterministic(enable: bool) -> Iterator[None]:
    if enable:
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        if enable:
            torch.use_deterministic_algorithms(False)

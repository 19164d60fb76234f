"""`train` and `fit`: the training loop."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cdzoo.data.augment import PairAugment
from cdzoo.data.contract import check_samples
from cdzoo.data.loader import load_samples, loader_failures
from cdzoo.data.overlap import memory
from cdzoo.data.protocols import get_protocol
from cdzoo.data.sample import Sample
from cdzoo.data.sampler import AugmentedSamples, Samples, StepSampler, mixed_seed
from cdzoo.engine.checkpoint import remove_checkpoints, writing
from cdzoo.engine.checks import check_metric, check_settings
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.identity import Identity, identify
from cdzoo.engine.launch import is_leader
from cdzoo.engine.log import RunLog
from cdzoo.engine.lora import merged
from cdzoo.engine.pictures import validation_picture
from cdzoo.engine.schedule import lr_factor
from cdzoo.engine.semi import check_unlabeled
from cdzoo.engine.setup import Setup, any_process, broadcast_buffers, finish, prepare, train_mode, update_ema, worker_count
from cdzoo.engine.shutdown import GracefulShutdown
from cdzoo.engine.state import TrainState, load, save
from cdzoo.engine.step import train_step
from cdzoo.errors import ConfigError, InputError, require
from cdzoo.inference.evaluate import evaluate
from cdzoo.io.files import file_sha256
from cdzoo.io.outputs import exclusive
from cdzoo.models.detector import ChangeDetector
from cdzoo.protocol import Protocol
from cdzoo.results import RESULTS_FILE, Environment, Results, Scores
from cdzoo.weights.folder import WEIGHTS_FILE

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def train(
    model: ChangeDetector,
    train_set: Samples,
    val_set: Samples,
    cfg: TrainCfg,
    out: str | Path | None = None,
    protocol: Protocol | None = None,
    facts: Mapping[str, Any] | None = None,
    resume: bool = False,
    unlabeled_set: Samples | None = None,
) -> Results:
    """Train a model in place and keep the weights with the best validation score.

    With `out`, the folder contains the best weights (`config.json`, `model.safetensors`, `results.json`), the log (`log.csv`),
    pictures, and the last two training states. A run that was interrupted in any way and is resumed ends with the same weights
    as an uninterrupted one, bit for bit on one machine with `cfg.deterministic`. Several processes are used if `cfg.devices` or
    `cfg.nodes` require them, or if torchrun or SLURM started this process.

    Args:
        model: Model; ends in evaluation mode on the CPU with its best weights (the averaged ones with `cfg.ema`).
        train_set: Training samples.
        val_set: Samples to select the weights on; they may differ in size.
        cfg: Settings.
        out: Folder of the run; None to write nothing.
        protocol: How to validate, and the score to select the weights by; `folder` by default.
        facts: Further fields of the results, such as `data` and `protocol` (a `ProtocolRecord`); other keys go to
            `Results.extra`.
        resume: Continue from the last training state in `out`.
        unlabeled_set: Samples for semi-supervised training (`cfg.semi`). Of their targets only the 255 of `target["mask"]` is
            read, if there is one: pixels without data.

    Returns:
        Results of the best validation.

    Raises:
        MissingDependencyError: Lightning is not installed.
        InputError: There are no samples, nothing to resume from, another process trains in the folder, or it cannot be written.
        ConfigError: The settings are inconsistent or do not suit the task, or settings, model or data differ from those of the
            resumed run.
        WeightsError: All training states are damaged, or were written by another version of cdzoo.
        TrainingStopped: A signal stopped the run after a step.
        TrainingError: Files could not be written, or the loss or the gradients were not finite for too many steps.
    """
    require("lightning.fabric", "train", "training")
    if not len(train_set) or not len(val_set):
        raise InputError(f"no samples to train or validate on: {len(train_set)} training, {len(val_set)} validation samples")
    if cfg.swap_dates and not model.task.swappable:
        raise ConfigError(f"the task '{model.task.name}' depends on the order of the dates: set swap_dates=0")
    protocol = protocol or get_protocol(None)
    check_metric(protocol, model.task)
    targets = model.task.targets
    check_samples(train_set, model.config.bands, "train", targets)
    sizes = model.input_sizes
    check_samples(val_set, model.config.bands, "validation", targets, whole=True, accepted=sizes, window=protocol.window)
    splits = {"train": train_set, "val": val_set}
    if unlabeled_set is not None:
        splits["unlabeled"] = unlabeled_set
    check_unlabeled(cfg, splits, model)
    facts = {"pairs": memory(splits), **(facts or {})}
    if resume and out is None:
        raise InputError("resume requires the folder of the run: out=FOLDER")
    folder = None if out is None else Path(out)
    if folder is not None:
        model.config.to_json()  # a model that cannot be saved must fail now, not after hours
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(cfg.deterministic or before)
    try:
        with run_lock(folder):
            return fit(model, train_set, val_set, cfg, folder, protocol, facts, resume, unlabeled_set)
    finally:
        torch.use_deterministic_algorithms(before)


def run_lock(out: Path | None) -> AbstractContextManager[None]:
    """Create the folder of a run and return its lock, held by the process that writes it.

    Raises:
        InputError: The folder cannot be written, or (by the lock) another process trains in it.
    """
    if out is None or not is_leader():
        return nullcontext()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: the folder of the run cannot be created ({error.strerror}); choose another --out") from error
    return exclusive(out)


def fit(
    model: ChangeDetector,
    train_set: Samples,
    val_set: Samples,
    cfg: TrainCfg,
    out: Path | None,
    protocol: Protocol,
    facts: Mapping[str, Any],
    resume: bool,
    unlabeled_set: Samples | None = None,
) -> Results:
    """Run the training loop; see `train` for the arguments."""
    setup = prepare(model, cfg)
    fabric, leader = setup.fabric, setup.fabric.is_global_zero
    sampler = _step_sampler(train_set, cfg, fabric, 0, 0)
    total = cfg.epochs * sampler.steps_per_epoch
    for note in check_settings(cfg, model, sampler) if leader else ():
        warnings.warn(note, stacklevel=3)
    identity: Identity = {}
    if out is not None and leader:
        splits = {"training": train_set, "validation": val_set}
        if unlabeled_set is not None:
            splits["unlabeled"] = unlabeled_set
        identity = identify(cfg, model.config, splits, facts)
    state = TrainState(fabric.broadcast(identity), sampler.steps_per_epoch)
    if out is not None and resume:
        state = load(out, state, model, setup)
    elif out is not None and leader:
        remove_checkpoints(out)

    def save_best() -> None:
        if leader and out is not None and state.best is not None and state.best.step == state.step:
            with writing(out), merged(setup.eval_model):
                setup.eval_model.save_pretrained(out)
                _results(state, cfg, protocol, setup, facts, out).write(out / RESULTS_FILE)

    def save_all() -> None:
        save(out, state, model, setup)
        # Afterwards, as `save` raises for weights that are not finite; a run killed in between writes the best weights on resume.
        save_best()
        fabric.barrier()

    save_best()
    # An early stopped run that is resumed is complete.
    last = state.step if state.exhausted(cfg) else total
    train_mode(model, cfg)
    with (
        GracefulShutdown() as shutdown,
        loader_failures(),
        closing(step_loader(train_set, cfg, fabric, state.step, last, model)) as labeled,
        closing(_unlabeled_loader(unlabeled_set, cfg, fabric, state.step, last, model)) as unlabeled,
        RunLog(out, cfg, state, model, total, sampler.batch_size, leader) as log,
    ):
        for micro_batches, further in log.timed(zip(labeled, unlabeled, strict=False)):
            lr = _set_lr(setup.optimizer, state, cfg, total)
            losses = train_step(fabric, setup.objective, setup.optimizer, micro_batches, state, cfg, further)
            if setup.ema and losses is not None:
                update_ema(fabric, setup.ema, model)
            state.finish_step(losses)
            log.step(None if losses is None else losses["loss"], state.skipped)
            if state.epoch_ended:
                due = state.epoch % cfg.validate_every == 0 or state.step == total
                scores = _validate(state, model, val_set, cfg, protocol, setup) if due else None
                draw = leader and out and cfg.pictures_every and state.epoch % cfg.pictures_every == 0
                picture = validation_picture(setup.eval_model, val_set, protocol, fabric.device) if draw else None
                with writing(out):
                    log.epoch(state, lr, state.take_losses(), scores, picture)
            stop = any_process(fabric, shutdown.requested)
            if state.epoch_ended or stop or (cfg.checkpoint_every and state.step % cfg.checkpoint_every == 0):
                save_all()
            if stop:
                shutdown.raise_stopped(state.step, out)
            if state.epoch_ended and state.exhausted(cfg):
                break
        if state.best is None:  # resumed after its last step, without the file of its best weights
            _validate(state, model, val_set, cfg, protocol, setup)
            save_all()
    assert state.best is not None
    finish(model, setup.trainable, state.best.weights)
    stopped = {"stopped_epoch": state.epoch} if state.step < total else {}
    return _results(state, cfg, protocol, setup, {**facts, **stopped}, out)


def step_loader(
    samples: Samples, cfg: TrainCfg, fabric: Fabric, first: int, last: int, model: ChangeDetector
) -> Generator[list[Sample], None, None]:
    """Return an iterator over the micro-batches of each step of this process, from step `first` to `last`."""
    scale = (cfg.scale_min * model.config.input_scale, cfg.scale_max * model.config.input_scale)
    augment = PairAugment(cfg.crop, cfg.flips, cfg.rotate, scale, cfg.swap_dates, model.task.swap_dates)
    workers = worker_count(cfg, fabric.device)
    batches = load_samples(
        AugmentedSamples(samples, augment),
        workers,
        batch_sampler=_step_sampler(samples, cfg, fabric, first, last),
        pin_memory=fabric.device.type == "cuda",
        # The generators of Python and torch are not used for samples, but workers are seeded from them.
        generator=torch.Generator().manual_seed(cfg.seed),
        prefetch_factor=4 if workers else None,
    )
    with closing(batches):
        while step := list(itertools.islice(batches, cfg.accumulate)):
            yield step


def _unlabeled_loader(
    samples: Samples | None, cfg: TrainCfg, fabric: Fabric, first: int, last: int, model: ChangeDetector
) -> Generator[list[Sample], None, None]:
    """Return an iterator over the micro-batches of pairs without masks of each step; over empty lists without any."""
    if samples is None:
        return (list[Sample]() for _ in itertools.count())
    # Another order and other crops than those of the labeled pairs.
    own = dataclasses.replace(cfg, seed=mixed_seed(cfg.seed, 6))
    return step_loader(samples, own, fabric, first, last, model)


def _step_sampler(samples: Samples, cfg: TrainCfg, fabric: Fabric, first: int, last: int) -> StepSampler:
    return StepSampler(len(samples), cfg.batch_size, cfg.seed, first, last, fabric.global_rank, fabric.world_size, cfg.accumulate)


def _set_lr(optimizer: Any, state: TrainState, cfg: TrainCfg, total: int) -> float:
    """Set the learning rate of the next step and return it; timm scales that of some parameter groups by `lr_scale`."""
    decay_steps = cfg.lr_decay_epochs * state.steps_per_epoch
    factor = lr_factor(state.step, total, cfg.schedule, cfg.warmup_steps, cfg.power, cfg.lr_decay, decay_steps)
    lr = cfg.lr * factor * state.lr_scale
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    return lr


def _validate(
    state: TrainState, model: ChangeDetector, samples: Samples, cfg: TrainCfg, protocol: Protocol, setup: Setup
) -> Scores:
    """Score the model, and keep its weights if they are the best so far."""
    fabric = setup.fabric
    broadcast_buffers(fabric, model)
    device, rank, processes = fabric.device, fabric.global_rank, fabric.world_size
    batch_size, workers = max(1, cfg.batch_size // processes), worker_count(cfg, device)
    # In float32 whatever cfg.precision is, like `cdzoo eval`, so that the stored scores can be reproduced.
    counter = evaluate(setup.eval_model, samples, protocol, device, batch_size, workers, rank, processes)
    scores: Scores = counter.summary()
    if fabric.is_global_zero and (warning := model.task.warning(scores)):
        warnings.warn(f"after step {state.step} {warning}", stacklevel=4)
    state.keep_best(scores, protocol.metric, setup.eval_model, cfg)
    return scores


def _results(
    state: TrainState, cfg: TrainCfg, protocol: Protocol, setup: Setup, facts: Mapping[str, Any], out: Path | None
) -> Results:
    """Return the results of the best weights."""
    assert state.best is not None
    weights = None if out is None else out / WEIGHTS_FILE
    return Results(
        model=setup.eval_model.config.name,
        split=protocol.selection_split,
        scores=state.best.scores,
        environment=Environment.current(setup.fabric.device, setup.fabric.world_size),
        step=state.best.step,
        epoch=state.best.epoch,
        seed=cfg.seed,
        training=cfg.fixed() | {"epochs": cfg.epochs},
        weights_sha256=file_sha256(weights) if weights is not None and weights.is_file() else None,
    ).with_entries(facts)

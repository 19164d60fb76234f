"""Settings that do not fit the model or the length of a run, found before its first step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from cdzoo.data.sampler import StepSampler
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.setup import uses_momentum
from cdzoo.errors import ConfigError
from cdzoo.losses import PixelLoss
from cdzoo.models.detector import ChangeDetector
from cdzoo.names import check_known
from cdzoo.protocol import Protocol
from cdzoo.tasks import Task

_LARGEST_START = 0.5
SELECTION_SCORES = ("f1", "iou", "kappa", "mean_image_f1")
"""Scores by which weights can be selected for any task."""


def check_metric(protocol: Protocol, task: Task) -> None:
    """Raise `ConfigError` unless the score by which a protocol selects weights is one of the task."""
    known = (*SELECTION_SCORES, *task.score_names)
    check_known(f"the protocol '{protocol.name}' selects by a score that the task '{task.name}' lacks:", protocol.metric, known)


def check_settings(cfg: TrainCfg, model: ChangeDetector, sampler: StepSampler) -> list[str]:
    """Return a note for each setting that has no effect, or hardly any.

    Args:
        cfg: Settings.
        model: Model.
        sampler: Batches of the whole run.

    Raises:
        ConfigError: A setting cannot be meant.
    """
    if cfg.swap_dates and (len(set(model.config.bands)) > 1 or len(model.encoders) > 1):
        raise ConfigError(
            f"swap_dates={cfg.swap_dates} needs dates of equal bands that share one encoder, but in_chans={model.config.bands}, "
            f"siamese={model.config.siamese}: set swap_dates=0"
        )
    if problem := model.input_sizes.problem(cfg.crop, cfg.crop):
        best = model.fixed_input_size or max(cfg.crop // model.size_multiple, 1) * model.size_multiple
        raise ConfigError(f"crop={cfg.crop}: images of {cfg.crop}x{cfg.crop} pixels {problem}: set crop={best}")
    micro_batch = sampler.batch_size // (sampler.world * sampler.accumulate)
    if cfg.cutmix and micro_batch < 2:
        raise ConfigError(f"cutmix={cfg.cutmix} mixes the samples of a micro-batch, which has one only: use a larger batch_size")
    if cfg.semi and micro_batch < 2:
        raise ConfigError(f"semi={cfg.semi} mixes the samples of a micro-batch, which has one only: use a larger batch_size")
    return [*_idle(cfg, model.task), *_too_long(cfg, cfg.epochs * sampler.steps_per_epoch)]


def _idle(cfg: TrainCfg, task: Task) -> Iterator[str]:
    """Yield a note for each setting that was changed and that another one switches off."""
    weighted = any(part.weighted for part in task.create_loss(cfg.loss).modules() if isinstance(part, PixelLoss))
    decays = cfg.schedule in ("step", "exponential", "plateau")
    switches = {
        "power": (cfg.schedule == "poly", f"schedule={cfg.schedule}"),
        "lr_decay": (decays, f"schedule={cfg.schedule}"),
        "lr_decay_epochs": (decays, f"schedule={cfg.schedule}"),
        "momentum": (uses_momentum(cfg), f"optimizer={cfg.optimizer}"),
        "change_weight": (weighted, f"loss={cfg.loss}"),
        "decay_all": (cfg.weight_decay > 0, "weight_decay=0"),
        "confidence": (cfg.semi is not None, "semi=null"),
        "unlabeled_weight": (cfg.semi is not None, "semi=null"),
    }
    defaults = {field.name: field.default for field in dataclasses.fields(cfg)}
    for name, (used, reason) in switches.items():
        if not used and getattr(cfg, name) != defaults[name]:
            yield f"{name}={getattr(cfg, name)} has no effect with {reason}"


def _too_long(cfg: TrainCfg, steps: int) -> Iterator[str]:
    """Yield a note for each setting that counts more steps, epochs or validations than the run has."""
    if cfg.warmup_steps >= steps:
        yield f"warmup_steps={cfg.warmup_steps} is longer than the run of {steps} steps: its learning rate never reaches {cfg.lr}"
    if cfg.ema and (start := cfg.ema**steps) > _LARGEST_START:
        yield f"ema={cfg.ema} is too slow for a run of {steps} steps: {100 * start:.0f} % of the average are the initial weights"
    if cfg.schedule == "step" and cfg.lr_decay_epochs >= cfg.epochs:
        yield f"lr_decay_epochs={cfg.lr_decay_epochs} is not reached in epochs={cfg.epochs}: the learning rate never drops"
    if cfg.early_stopping and cfg.early_stopping * cfg.validate_every >= cfg.epochs:
        yield f"early_stopping={cfg.early_stopping} validations are not reached in epochs={cfg.epochs}"
    if cfg.pictures_every > cfg.epochs:
        yield f"pictures_every={cfg.pictures_every} is not reached in epochs={cfg.epochs}: no picture is drawn"

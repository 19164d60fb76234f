"""`train`: a model, pairs, and a folder that holds the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdzoo.data.sampler import Samples
from cdzoo.engine.settings import TrainCfg
from cdzoo.errors import InputError, MissingDependencyError
from cdzoo.models.detector import ChangeDetector
from cdzoo.protocol import Protocol, get_protocol


def train(
    model: ChangeDetector,
    train_samples: Samples,
    val_samples: Samples,
    cfg: TrainCfg,
    out: str | Path | None = None,
    protocol: Protocol | None = None,
    facts: dict[str, Any] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Train `model` in place and keep the weights that do best on the validation pairs.

    With `out`, the folder holds the best weights (`config.json`, `model.safetensors`, `results.json`), the log (`log.csv`),
    pictures, and the last two checkpoints. A run that was interrupted in any way and is continued with `resume` ends with the
    same weights as one that was not, bit for bit on one machine with `cfg.deterministic`. Several processes are used when
    `cfg.devices` or `cfg.nodes` say so, or when torchrun or SLURM started this one.

    Args:
        model: The detector; ends in evaluation mode on the CPU with its best weights (the averaged ones with `cfg.ema`).
        train_samples: Pairs to learn from.
        val_samples: Pairs to choose the weights on; samples may differ in size.
        cfg: Settings.
        out: Folder of the run; nothing is written without one.
        protocol: How to validate, and by which score to choose; `folder` by default.
        facts: Further entries for `results.json`, such as what the data are.
        resume: Continue from the last checkpoint in `out`.

    Returns:
        The summary of the best validation, see `ChangeCounts.summary`.

    Raises:
        MissingDependencyError: Lightning or torchmetrics is not installed.
        InputError: There is nothing to train or validate on, or nothing to continue.
        ConfigError: The settings cannot be used together, or are not those of the run that is continued.
        TrainingError: The loss or the gradients were not finite for too many steps.
    """
    _check_installed()
    from cdzoo.engine.loop import Run

    if not len(train_samples) or not len(val_samples):
        raise InputError("there are no pairs to train or validate on")
    if resume and out is None:
        raise InputError("resume needs the folder of the run: out=FOLDER")
    if out is not None:
        model.config.to_json()  # a model that cannot be saved must fail now, not after hours
        Path(out).mkdir(parents=True, exist_ok=True)
    run = Run(model, train_samples, val_samples, cfg, Path(out) if out else None, protocol or get_protocol(None), facts or {})
    return run.train(resume)


def _check_installed() -> None:
    try:
        import lightning.fabric  # noqa: F401  # miss them here, with the hint
        import torchmetrics  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs Lightning and torchmetrics: pip install 'cdzoo[train]' ({error})"
        ) from error

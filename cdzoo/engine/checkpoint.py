"""Training states on disk: folders written atomically, with tensors in safetensors and no pickled code."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdzoo.errors import InputError, TrainingError, WeightsError
from cdzoo.weights.state import read_tensors, write_tensors

FOLDER = "checkpoints"
WEIGHTS, EMA, STATE = "weights.safetensors", "ema.safetensors", "state.pt"
FORMAT = 2
"""Version of `state.pt`, stored in it."""
KEPT = 2

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Training state of a run after a step.

    Attributes:
        weights: State dict of the model.
        ema: State dict of the moving average of the weights; None without one.
        state: Further values that `torch.load(weights_only=True)` supports.
    """

    weights: Weights
    ema: Weights | None
    state: dict[str, Any]


def save_checkpoint(out: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write a training state under a temporary name, rename it, and remove all but the last two.

    Raises:
        TrainingError: A weight is not finite. In this case nothing is written, so that the last good state is kept.
    """
    for label, tensors in (("weights", checkpoint.weights), ("averaged weights", checkpoint.ema or {})):
        bad = [name for name, value in tensors.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
        if bad:
            raise TrainingError(
                f"after step {step} {len(bad)} of the {label} are not finite ({', '.join(bad[:4])}); nothing was written. "
                f"The last good training state is kept: lower lr and resume from it"
            )
    final = out / FOLDER / f"step_{step:08d}"
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        write_tensors(temporary / WEIGHTS, checkpoint.weights)
        if checkpoint.ema is not None:
            write_tensors(temporary / EMA, checkpoint.ema)
        torch.save({"format": FORMAT, **checkpoint.state}, temporary / STATE)
        for path in temporary.iterdir():  # the contents must reach the disk before the rename
            with path.open("rb+") as file:
                os.fsync(file)
        if final.exists():  # left by a killed run that has reached this step again
            shutil.rmtree(final)
        os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in list_checkpoints(out)[:-KEPT]:
        _remove(old)
    for leftover in (out / FOLDER).glob(".step_*"):  # of runs that were killed while writing
        shutil.rmtree(leftover, ignore_errors=True)
    return final


def list_checkpoints(out: Path) -> list[Path]:
    """Return the training states of a run, oldest first."""
    return sorted((out / FOLDER).glob("step_" + "[0-9]" * 8))


def remove_checkpoints(out: Path) -> None:
    """Remove the training states of an earlier run in the same folder, which could be newer than those of the new run."""
    for path in list_checkpoints(out):
        _remove(path)


def load_checkpoint(out: Path) -> Checkpoint:
    """Read the last training state of a run.

    Raises:
        InputError: There is none.
        WeightsError: It is damaged, or was written by another version of cdzoo.
    """
    found = list_checkpoints(out)
    if not found:
        raise InputError(f"{out}: no training state to resume from; start the run without --resume")
    return read_checkpoint(found[-1])


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one training state.

    Raises:
        WeightsError: It is damaged, or was written by another version of cdzoo.
    """
    try:
        weights = read_tensors(path / WEIGHTS)
        ema = read_tensors(path / EMA) if (path / EMA).exists() else None
        state = torch.load(path / STATE, map_location="cpu", weights_only=True)
        found = state.pop("format", 1)
    except (WeightsError, pickle.UnpicklingError, OSError, RuntimeError, ValueError, EOFError, AttributeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise WeightsError(
            f"{path}: the training state is damaged ({reason}); remove the folder to resume from the previous one"
        ) from error
    if found != FORMAT:
        raise WeightsError(
            f"{path}: the training state was written by another version of cdzoo (format {found}, expected {FORMAT}) and cannot "
            f"be resumed; its weights can be loaded with create_model(..., checkpoint_path='{path / WEIGHTS}')"
        )
    return Checkpoint(weights, ema, state)


def _remove(path: Path) -> None:
    # Renamed first: a partially removed folder must not be read as a training state.
    hidden = path.with_name(f".{path.name}.old")
    shutil.rmtree(hidden, ignore_errors=True)
    os.replace(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)

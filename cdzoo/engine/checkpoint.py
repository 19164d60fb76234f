"""Checkpoints: a folder per checkpoint that is complete or absent, weights in safetensors, the rest without pickled code."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdzoo.errors import InputError, TrainingError, WeightsError

FOLDER = "checkpoints"
WEIGHTS, AVERAGE, STATE = "weights.safetensors", "ema.safetensors", "state.pt"
KEPT = 2

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """What a run is continued from.

    Attributes:
        step: Optimizer steps done.
        weights: State dict of the model.
        average: Moving average of the weights, if there is one.
        state: Optimizer, scaler, counters and settings.
    """

    step: int
    weights: Weights
    average: Weights | None
    state: dict[str, Any]


def save_checkpoint(out: Path, step: int, weights: Weights, average: Weights | None, state: dict[str, Any]) -> Path:
    """Write a checkpoint under a temporary name, rename it, and remove all but the last two.

    Raises:
        TrainingError: A weight is not finite. Nothing is written then: a poisoned checkpoint is worse than none.
    """
    for what, tensors in (("weights", weights), ("average", average or {})):
        if bad := [
            name for name, value in tensors.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())
        ]:
            raise TrainingError(
                f"after step {step} {len(bad)} of the {what} are not finite ({', '.join(bad[:4])}); nothing was written. "
                f"The last good checkpoint is kept: lower lr and continue from it"
            )
    final = out / FOLDER / f"step_{step:08d}"
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write_tensors(temporary / WEIGHTS, weights)
        if average is not None:
            _write_tensors(temporary / AVERAGE, average)
        with (temporary / STATE).open("wb") as file:
            torch.save({"step": step, **state}, file)
            _flush(file)
        if final.exists():  # of a run that was killed after this step and came here again
            shutil.rmtree(final)
        os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in list_checkpoints(out)[:-KEPT]:
        _remove(old)
    for leftover in (out / FOLDER).glob(".step_*"):  # of runs that were killed while they wrote
        shutil.rmtree(leftover, ignore_errors=True)
    return final


def list_checkpoints(out: Path) -> list[Path]:
    """Return the checkpoints of a run, oldest first."""
    folder = out / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"step_\d{8}", path.name))


def forget_checkpoints(out: Path) -> None:
    """Remove the checkpoints of an earlier run: later ones of the new run would be taken for older than these."""
    for path in list_checkpoints(out):
        _remove(path)


def load_checkpoint(out: Path) -> Checkpoint:
    """Read the last checkpoint of a run.

    Raises:
        InputError: There is none.
        WeightsError: It is damaged.
    """
    found = list_checkpoints(out)
    if not found:
        raise InputError(f"{out}: there is no checkpoint to continue from; start the run without --resume")
    return read_checkpoint(found[-1])


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint folder.

    Raises:
        WeightsError: It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path / WEIGHTS)
        average = load_file(path / AVERAGE) if (path / AVERAGE).exists() else None
        state = torch.load(path / STATE, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        reason = str(error).split("\n", 1)[0]
        raise WeightsError(
            f"{path}: the checkpoint is damaged ({reason}); remove the folder, and the one before it is continued"
        ) from error
    return Checkpoint(state.pop("step"), weights, average, state)


def _write_tensors(path: Path, tensors: Weights) -> None:
    from safetensors.torch import save

    with path.open("wb") as file:
        file.write(save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}))
        _flush(file)


def _flush(file: Any) -> None:
    # The rename must not reach the disk before the contents do.
    file.flush()
    os.fsync(file.fileno())


def _remove(path: Path) -> None:
    # Out of sight first: a folder that is half removed is no checkpoint.
    hidden = path.with_name(f".{path.name}.old")
    shutil.rmtree(hidden, ignore_errors=True)
    os.replace(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)

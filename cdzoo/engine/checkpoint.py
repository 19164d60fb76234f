"""Checkpoints of a training run: weights as safetensors, training state without pickled code, written atomically."""

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
    """State of a run after a step.

    Attributes:
        step: Optimizer steps done.
        weights: State dict of the model.
        average: State dict of the moving average, if there is one.
        training: Training state: `TrainState`, optimizer, gradient scaler.
    """

    step: int
    weights: Weights
    average: Weights | None
    training: dict[str, Any]


def save_checkpoint(out: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint atomically, and remove all but the last two.

    Raises:
        TrainingError: A weight is not finite. Nothing is written.
    """
    for kind, tensors in (("weights", checkpoint.weights), ("average", checkpoint.average or {})):
        bad = [name for name, value in tensors.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
        if bad:
            raise TrainingError(
                f"after step {checkpoint.step} {len(bad)} of the {kind} are not finite ({', '.join(bad[:4])}); nothing was "
                f"written. The last checkpoint is kept: lower lr and resume from it"
            )
    final = out / FOLDER / f"step_{checkpoint.step:08d}"
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write_tensors(temporary / WEIGHTS, checkpoint.weights)
        if checkpoint.average is not None:
            _write_tensors(temporary / AVERAGE, checkpoint.average)
        with (temporary / STATE).open("wb") as file:
            torch.save({**checkpoint.training, "step": checkpoint.step}, file)
            _flush(file)
        if final.exists():  # of a run that was killed after this step and reached it again
            _remove(final)
        os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in list_checkpoints(out)[:-KEPT]:
        _remove(old)
    for leftover in (out / FOLDER).glob(".step_*"):  # of runs that were killed while writing
        shutil.rmtree(leftover, ignore_errors=True)
    return final


def list_checkpoints(out: Path) -> list[Path]:
    """Return the checkpoint folders of a run, oldest first."""
    folder = out / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"step_\d{8}", path.name))


def remove_checkpoints(out: Path) -> None:
    """Remove the checkpoints of an earlier run, which could have later steps than those of a new run."""
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
        raise InputError(f"{out}: there is no checkpoint to resume from; start the run without --resume")
    return read_checkpoint(found[-1])


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint folder.

    Raises:
        WeightsError: It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path / WEIGHTS)
        average = load_file(path / AVERAGE) if (path / AVERAGE).exists() else None
        training = torch.load(path / STATE, map_location="cpu", weights_only=True)
        step = training["step"]
    except (
        SafetensorError,
        pickle.UnpicklingError,
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        LookupError,
        TypeError,
    ) as error:
        reason = str(error).split("\n", 1)[0]
        raise WeightsError(
            f"{path}: the checkpoint is damaged ({reason}); remove the folder to resume from the previous one"
        ) from error
    return Checkpoint(step, weights, average, training)


def _write_tensors(path: Path, tensors: Weights) -> None:
    from safetensors.torch import save

    with path.open("wb") as file:
        file.write(save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}))
        _flush(file)


def _flush(file: Any) -> None:
    # The content must reach the disk before the rename.
    file.flush()
    os.fsync(file.fileno())


def _remove(path: Path) -> None:
    # Renamed first, since a folder that is partly removed would look like a checkpoint.
    hidden = path.with_name(f".{path.name}.old")
    shutil.rmtree(hidden, ignore_errors=True)
    os.replace(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)

"""Training states on disk: folders written atomically, with checksums, tensors in safetensors and no pickled code."""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from cdzoo.errors import CdzooError, InputError, TrainingError, WeightsError
from cdzoo.io.files import file_sha256
from cdzoo.weights.state import read_tensors, write_tensors

FOLDER = "checkpoints"
WEIGHTS, EMA, STATE, SUMS = "weights.safetensors", "ema.safetensors", "state.pt", "SHA256SUMS"
FORMAT = 3
"""Version of `state.pt`, stored in it."""
KEPT = 2

Weights = Mapping[str, Tensor]
T = TypeVar("T")


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

    If there is a state of the same step, the new one has a number in its name, and the old one is removed when it is in place.

    Raises:
        TrainingError: A weight is not finite, or the files cannot be written. The last good state is kept.
    """
    for label, tensors in (("weights", checkpoint.weights), ("averaged weights", checkpoint.ema or {})):
        bad = [name for name, value in tensors.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
        if bad:
            raise TrainingError(
                f"after step {step} {len(bad)} of the {label} are not finite ({', '.join(bad[:4])}); nothing was written. "
                f"The last good training state is kept: lower lr and resume from it"
            )
    same = [path for path in list_checkpoints(out) if _step(path) == step]
    number = int(same[-1].suffix[1:] or 0) + 1 if same else 0
    final = out / FOLDER / f"step_{step:08d}{f'.{number}' if number else ''}"
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    with writing(out):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            write_tensors(temporary / WEIGHTS, checkpoint.weights)
            if checkpoint.ema is not None:
                write_tensors(temporary / EMA, checkpoint.ema)
            torch.save({"format": FORMAT, **checkpoint.state}, temporary / STATE)
            (temporary / SUMS).write_text("".join(f"{line}\n" for line in _sums(temporary)), encoding="utf-8")
            for path in (*temporary.iterdir(), temporary):  # the contents must reach the disk before the rename
                _sync(path)
            os.replace(temporary, final)
            _sync(final.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        # Later states are those of a run that was resumed from an earlier one, as they were damaged.
        newest = {_step(path): path for path in list_checkpoints(out) if _step(path) <= step}
        for old in set(list_checkpoints(out)).difference(list(newest.values())[-KEPT:]):
            _remove(old)
        for leftover in (out / FOLDER).glob(".step_*"):  # of runs that were killed while writing
            shutil.rmtree(leftover, ignore_errors=True)
    return final


@contextmanager
def writing(out: Path | None) -> Iterator[None]:
    """Raise `TrainingError` with the way to continue if a file of a run cannot be written."""
    try:
        yield
    except CdzooError:
        raise
    except (OSError, RuntimeError) as error:  # torch.save raises the latter
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).split("\n", 1)[0]
        raise TrainingError(
            f"{out}: the files of the run cannot be written ({reason}). Make space or the folder writable, and continue from "
            f"the last training state: cdzoo train --resume {out}"
        ) from error


def list_checkpoints(out: Path) -> list[Path]:
    """Return the training states of a run, oldest first."""
    digits = "step_" + "[0-9]" * 8
    found = [*(out / FOLDER).glob(digits), *(out / FOLDER).glob(f"{digits}.[0-9]*")]
    return sorted(found, key=lambda path: (_step(path), int(path.suffix[1:] or 0)))


def remove_checkpoints(out: Path) -> None:
    """Remove the training states of an earlier run in the same folder, which could be newer than those of the new run."""
    for path in list_checkpoints(out):
        _remove(path)


def load_checkpoint(out: Path) -> Checkpoint:
    """Read the last training state of a run that is not damaged, see `newest`."""
    return newest(out, read_checkpoint)


def newest(out: Path, read: Callable[[Path], T]) -> T:
    """Return what a function reads from the last training state that it can read; a warning names those that are damaged.

    Args:
        out: Folder of the run.
        read: Raises `WeightsError` for a state that is damaged.

    Raises:
        InputError: There is no training state.
        WeightsError: All of them are damaged, or were written by another version of cdzoo.
    """
    damaged: list[WeightsError] = []
    for path in reversed(list_checkpoints(out)):
        try:
            result = read(path)
        except WeightsError as error:
            damaged.append(error)
            continue
        for found in damaged:
            warnings.warn(f"{found}; the run continues from {path.name}", stacklevel=3)
        return result
    if damaged:
        raise WeightsError(f"{damaged[0]}; there is no other one to continue from: start a new run with another --out")
    raise InputError(f"{out}: no training state to resume from; start the run without --resume")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one training state.

    Raises:
        WeightsError: It is damaged, or was written by another version of cdzoo.
    """
    with damage(path):
        sums = path / SUMS
        if sums.exists() and sums.read_text(encoding="utf-8").splitlines() != _sums(path):
            raise ValueError("its checksums do not match")
        weights = read_tensors(path / WEIGHTS)
        ema = read_tensors(path / EMA) if (path / EMA).exists() else None
        state = torch.load(path / STATE, map_location="cpu", weights_only=True)
        found = state.pop("format", 1)
        if found == FORMAT and not sums.exists():
            raise ValueError(f"there is no {SUMS}")
    if found != FORMAT:
        raise WeightsError(
            f"{path}: the training state was written by another version of cdzoo (format {found}, expected {FORMAT}) and cannot "
            f"be resumed; its weights can be loaded with create_model(..., checkpoint_path='{path / WEIGHTS}')"
        )
    return Checkpoint(weights, ema, state)


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Raise `WeightsError` for any error that a training state causes which was cut off, edited or written by other code."""
    try:
        yield
    except (
        *(WeightsError, pickle.UnpicklingError, OSError, RuntimeError, EOFError),
        *(ValueError, TypeError, AttributeError, LookupError, OverflowError),
    ) as error:
        reason = str(error).split("\n", 1)[0]
        raise WeightsError(f"{path}: the training state is damaged ({reason})") from error


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step_"))


def _sums(folder: Path) -> list[str]:
    """Return the lines of `sha256sum` for the files of a training state."""
    return [f"{file_sha256(folder / name)}  {name}" for name in (WEIGHTS, EMA, STATE) if (folder / name).exists()]


def _sync(path: Path) -> None:
    with suppress(PermissionError):  # Windows opens no folders
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    # Renamed first: a partially removed folder must not be read as a training state.
    hidden = path.with_name(f".{path.name}.old")
    shutil.rmtree(hidden, ignore_errors=True)
    os.replace(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)

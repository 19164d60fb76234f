"""State dicts: reading and writing files, and loading into a module with a report of what did not match."""

from __future__ import annotations

import dataclasses
import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cdzoo.errors import InputError, WeightsError
from cdzoo.io.files import check_sha256, replace_atomically
from cdzoo.weights.values import check_finite, check_values

_SHOWN = 6
_WRAPPERS = ("state_dict", "model_state_dict", "model_G_state_dict", "model", "net", "network")
_CLASSIFIERS = ("head.", "branches.")


@dataclass(frozen=True)
class LoadReport:
    """Outcome of loading a state dict, by key.

    Attributes:
        matched: Loaded unchanged.
        missing: In the module, not in the file; initial values are kept.
        unexpected: In the file, not in the module; ignored.
        reshaped: Of another shape in the file; initial values are kept.
        adapted: First layers adapted to another number of bands.
        reinitialized: Layers of the classifier, reinitialized for another number of classes.
    """

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    reinitialized: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether file and module have the same keys and shapes, except for layers adapted on request."""
        return not (self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        """Return a one-line summary."""
        parts = [f"{len(self.matched)} keys match"]
        for label in ("missing", "unexpected", "reshaped", "adapted", "reinitialized"):
            if keys := getattr(self, label):
                shown = ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
                parts.append(f"{len(keys)} {'of another shape' if label == 'reshaped' else label} ({shown})")
        return ", ".join(parts)


def compare(given: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> LoadReport:
    """Compare the keys and shapes of a state dict with the expected ones."""
    reshaped = {key: tuple(given[key].shape) for key in expected if key in given and tuple(given[key].shape) != expected[key]}
    return LoadReport(
        matched=[key for key in expected if key in given and key not in reshaped],
        missing=[key for key in expected if key not in given],
        unexpected=[key for key in given if key not in expected],
        reshaped=[f"{key} {shape} instead of {expected[key]}" for key, shape in reshaped.items()],
    )


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a state dict."""
    return {key: tuple(value.shape) for key, value in state.items()}


def check_state(source: str, given: Mapping[str, Tensor], expected: Mapping[str, Tensor], target: str) -> None:
    """Raise unless a state dict has exactly the expected keys and shapes, and values of the expected kind.

    Raises:
        WeightsError: Keys are missing or unexpected, shapes differ, or `check_values` fails. The message names them.
    """
    report = compare(given, shapes(expected))
    if not report.complete:
        raise WeightsError(f"{source} does not match '{target}' ({len(expected)} tensors expected): {report}")
    check_values(source, given, expected)


def load_weights(
    model: nn.Module,
    file: str | Path,
    strict: bool = True,
    sha256: str | None = None,
    adapt_bands: bool = False,
    adapt_classes: bool = False,
    num_concatenated: int = 1,
) -> LoadReport:
    """Load a safetensors file into a model.

    Args:
        model: Receives the weights, in its own precision.
        file: Path of the file.
        strict: Raise unless every key matches; otherwise load the keys that match and warn about the others.
        sha256: Expected hash of the file.
        adapt_bands: Adapt the kernels of first layers to another number of bands: they are repeated and scaled so that the
            response to gray images stays the same.
        adapt_classes: Keep the initial values of the classifier and of the branches for other classes or another task.
        num_concatenated: Number of dates whose bands are concatenated in the first layer (early fusion); their kernels are
            adapted separately.

    Returns:
        Report of what was loaded.

    Raises:
        WeightsError: The file is damaged or not the expected one, a tensor is not finite or of another kind than the model's, or,
            if strict, a key does not match; the model is unchanged.
    """
    file = Path(file)
    if sha256 is not None:
        check_sha256(file, sha256)
    state = read_tensors(file)
    initial = model.state_dict()
    check_values(str(file), state, initial)
    adapted, reinitialized = [], []
    for key in [key for key, value in initial.items() if key in state and state[key].shape != value.shape]:
        if adapt_bands and _is_first_layer(key, state[key], initial[key]):
            adapted.append(key)
            state[key] = _adapt_bands(state[key].float(), initial[key].shape[1], num_concatenated)
        elif adapt_classes and key.startswith(_CLASSIFIERS):
            reinitialized.append(key)
            state[key] = initial[key]
    if adapt_classes:  # a task with other outputs has other branches
        state = {key: value for key, value in state.items() if key in initial or not key.startswith("branches.")}
        new = {key: value for key, value in initial.items() if key not in state and key.startswith("branches.")}
        reinitialized += new
        state |= new
    report = compare(state, shapes(initial))
    changed = {*adapted, *reinitialized}
    matched = [key for key in report.matched if key not in changed]
    report = dataclasses.replace(report, matched=matched, adapted=adapted, reinitialized=reinitialized)
    if strict and not report.complete:
        name = getattr(getattr(model, "config", None), "name", type(model).__name__)
        raise WeightsError(f"{file} does not match the model '{name}': {report}")
    model.load_state_dict({key: state[key] for key in (*matched, *adapted)}, strict=False)
    if report.adapted or report.reinitialized or not report.complete:
        warnings.warn(f"{file.name}: {report}", stacklevel=2)
    return report


def adapt_first_layer(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the weights of an encoder of images of three bands with its first kernel adapted to the expected number of bands.

    The kernel is repeated and scaled by the ratio of the bands, as in timm; a warning names it.

    Raises:
        WeightsError: `check_values` fails.
    """
    check_values(source, state, expected)
    adapted = {
        key: _adapt_bands(value.float(), expected[key].shape[1], 1)
        for key, value in state.items()
        if key in expected and value.ndim == 4 == expected[key].ndim and value.shape[1] == 3 != expected[key].shape[1]
    }
    if adapted:
        warnings.warn(f"{source}: adapted to the number of bands: {', '.join(adapted)}", stacklevel=4)
    return {**state, **adapted}


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WeightsError: The file is damaged or not a safetensors file, or a tensor has a NaN or an infinity.
    """
    from safetensors.torch import load_file

    try:
        state = load_file(file)
    except Exception as error:  # of the library, of PyTorch, or of Python, by what is wrong in the header
        raise WeightsError(f"{file} is not a readable safetensors file: {error}") from error
    check_finite(str(file), state)
    return state


def write_tensors(file: Path, state: Mapping[str, Tensor], **metadata: str) -> None:
    """Write tensors to a safetensors file, atomically."""
    from safetensors.torch import save

    contiguous = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with replace_atomically(file) as temporary:
        # save_file would make the file readable by its owner only.
        temporary.write_bytes(save(contiguous, metadata={"format": "pt", **metadata}))


def read_checkpoint(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Read a checkpoint of tensors and plain values: `.safetensors`, or a pickle written by PyTorch.

    Pickles are read with `weights_only=True`, which executes no code. NumPy scalars are allowed.

    Raises:
        InputError: The file does not exist.
        WeightsError: The file is damaged, not a checkpoint, or contains other objects.
    """
    file = Path(path)
    if not os.path.isfile(file):
        raise InputError(f"{file}: no such file")
    if file.suffix == ".safetensors":
        return read_tensors(file)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            data = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise WeightsError(
            f"{file} was not opened: it is not a checkpoint, or contains objects that execute code when read ({reason}). If you "
            "trust it, load it in the environment that wrote it and save only its state_dict"
        ) from error
    except Exception as error:  # damaged files end in errors of any type in the unpickler
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{file} is not a readable PyTorch checkpoint: {reason}") from error
    if not isinstance(data, Mapping):
        raise WeightsError(f"{file} contains a {type(data).__name__} instead of a dictionary of tensors")
    _check_dense(file, data)
    return data


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the state dict inside a training checkpoint, without the `module.` prefix of data parallel training.

    Raises:
        WeightsError: The checkpoint contains no mapping of names to tensors.
    """
    inner: Any = checkpoint
    for _ in range(len(_WRAPPERS)):
        found = next((key for key in _WRAPPERS if isinstance(inner, Mapping) and isinstance(inner.get(key), Mapping)), None)
        if found is None:
            break
        inner = inner[found]
    named = isinstance(inner, Mapping) and bool(inner) and all(isinstance(key, str) for key in inner)
    if not named or not all(isinstance(value, Tensor) for value in inner.values()):
        raise WeightsError(f"not a state dict of tensors, and it contains none under {', '.join(_WRAPPERS)}")
    if all(key.startswith("module.") for key in inner):
        return {key.removeprefix("module."): value for key, value in inner.items()}
    return dict(inner)


def _check_dense(file: Path, values: Mapping[Any, Any], depth: int = len(_WRAPPERS)) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and depth:  # a dictionary may contain itself
            _check_dense(file, value, depth - 1)
        elif isinstance(value, Tensor) and (
            value.layout != torch.strided or value.is_quantized or value.is_nested or value.is_meta
        ):
            raise WeightsError(
                f"{file}: the tensor '{key}' is sparse, quantized, nested or without values; save it as a dense tensor"
            )


def _is_first_layer(key: str, given: Tensor, wanted: Tensor) -> bool:
    """Return whether a kernel of the backbone differs only in its number of input channels."""
    same = given.ndim == wanted.ndim == 4 and given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]
    return same and key.startswith(("backbone.", "backbone2."))


def _adapt_bands(kernel: Tensor, bands: int, dates: int) -> Tensor:
    if kernel.shape[1] % dates or bands % dates:
        raise WeightsError(f"a first layer of {kernel.shape[1]} bands for {dates} dates cannot be adapted to {bands} bands")
    known, wanted = kernel.shape[1] // dates, bands // dates
    per_date = kernel.reshape(len(kernel), dates, known, *kernel.shape[2:])
    per_date = per_date[:, :, torch.arange(wanted) % known]  # bands are repeated cyclically
    return per_date.flatten(1, 2) * (known / wanted)


def _numpy_scalars() -> list[Any]:
    """Return the types of a pickled NumPy scalar; NumPy 2 renamed the module of the first one."""
    core = getattr(np, "_core", None) or np.core
    scalar = core.multiarray.scalar
    kinds = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *kinds]

"""Reading checkpoints of others without running what is in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cdzoo.errors import InputError, WeightsError


def read_checkpoint(path: str | Path) -> Mapping[str, Any]:
    """Read a checkpoint of tensors and plain values: `.safetensors`, or a pickle of PyTorch.

    A pickle can hold code. It is read with `weights_only=True`, which runs none; NumPy numbers, which training scripts like to
    keep beside the weights, are let through.

    Raises:
        InputError: There is no such file.
        WeightsError: It is damaged, no checkpoint, or holds more than tensors and plain values.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    if file.suffix == ".safetensors":
        from cdzoo.weights.loading import read_tensors

        return read_tensors(file)
    try:
        with torch.serialization.safe_globals(_harmless()):
            data = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise WeightsError(
            f"{file} was not opened: it is no checkpoint, or holds objects that would run code when read ({reason}). If you "
            "trust it, load it where it was made and save its state_dict alone"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{file} is no readable checkpoint of PyTorch: {(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error
    if not isinstance(data, Mapping):
        raise WeightsError(f"{file} holds a {type(data).__name__}, not a dictionary of tensors")
    return data


def _harmless() -> list[Any]:
    """Return what NumPy numbers are made of in a pickle; NumPy renamed the module of the first one."""
    core = getattr(np, "_core", None) or np.core
    scalar = core.multiarray.scalar
    kinds = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *kinds]

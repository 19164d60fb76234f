"""Weights and images derived from names and seeds, so that official code and cdzoo run on the same numbers.

Every entry of an official state dict is made from standard normal noise `x` of its shape, drawn by NumPy's PCG64 seeded with the
CRC-32 of the entry's official key and rounded to float32. `SCALES` defines how it is scaled.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

_Rule = tuple[Callable[[str, int], bool], Callable[[np.ndarray], np.ndarray]]


def _around(center: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.float32(center) + np.float32(0.1) * x


def _unit_gain(x: np.ndarray) -> np.ndarray:
    """Divide by the square root of the number of inputs; transposed convolutions are counted like the others."""
    return x * np.float32(np.prod(x.shape[1:], dtype=np.float64) ** -0.5)


def _state_matrix(x: np.ndarray) -> np.ndarray:
    """Logarithms of 1, 2, ..., d_state along the last axis, as Mamba initializes them, and a little noise."""
    steps = np.arange(1, x.shape[-1] + 1, dtype=np.float32)
    return np.log(steps) + np.float32(0.05) * x


# By the last part of the key and the number of dimensions; the first rule that matches is used.
SCALES: Sequence[_Rule] = (
    (lambda leaf, ndim: leaf == "running_mean", _around(0.0)),
    (lambda leaf, ndim: leaf == "running_var", lambda x: _around(1.0)(np.abs(x))),
    (lambda leaf, ndim: leaf in ("A_log", "A_logs"), _state_matrix),
    (lambda leaf, ndim: leaf in ("D", "Ds"), _around(1.0)),
    (lambda leaf, ndim: leaf == "dt_projs_bias", _around(-3.0)),
    (lambda leaf, ndim: leaf.endswith("weight") and ndim >= 2, _unit_gain),
    (lambda leaf, ndim: leaf == "weight" and ndim == 1, _around(1.0)),
    (lambda leaf, ndim: True, _around(0.0)),
)


def _noise(seed: int, shape: Sequence[int]) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(tuple(shape)).astype(np.float32)


def entry(key: str, shape: Sequence[int]) -> Tensor:
    """Return the entry of a state dict with this official key; counters of batches are zero."""
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.zeros(tuple(shape), dtype=torch.int64)
    noise = _noise(zlib.crc32(key.encode()), shape)
    scale = next(scale for matches, scale in SCALES if matches(leaf, len(shape)))
    return torch.from_numpy(np.asarray(scale(noise), np.float32))


def fill(shapes: Mapping[str, Sequence[int]], rule: Sequence[tuple[str, float, float]] = ()) -> dict[str, Tensor]:
    """Return an official state dict, given its keys and shapes.

    Entries whose key ends in the first value of a line (suffix, offset, factor) of the rule are offset + factor * entry.
    """
    state = {key: entry(key, shape) for key, shape in shapes.items()}
    for key in state:
        line = next((line for line in rule if key.endswith(line[0])), None)
        if line is not None:
            state[key] = line[1] + line[2] * state[key]
    return state


def images(size: int) -> tuple[Tensor, Tensor]:
    """Return the two dates (2, 3, size, size), noise of seeds 1 and 2."""
    first, second = (torch.from_numpy(_noise(seed, (2, 3, size, size))) for seed in (1, 2))
    return first, second

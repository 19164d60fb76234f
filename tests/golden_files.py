"""Read `tests/golden/*.json`: facts about published networks, produced by their official code.

Each file describes one network:

- `source`, `commit`: Repository of the official code.
- `params`: Number of parameters.
- `gmacs`: Multiply-adds in 1e9 that fvcore counts for one pair of 256 x 256 images, without adaptive pooling and without
  classifiers that serve training only. The operations of the selective scan are not included; `scan_gflops` gives them in 1e9, by
  the formula of VMamba's authors.
- `size`: Height and width of the images; 64 by default.
- `fill_rule`: Changes of the weights of `official_fill.fill`, see there; none by default.
- `state`: Keys and shapes of the official state dict. Keys that differ in numbers or words only share a line:
  `conv{1-2}.{weight,bias}` stands for four keys. `num_batches_tracked` is int64, all others are float32.
- `unused`: Parameters that the official forward pass never reads.
- `outputs`: Arrays that the official code computes in evaluation mode on a CPU in float32, with the weights of
  `official_fill.fill` and the images of `official_fill.images(size)`: the change `logits`, their `log_softmax`, the `distance` of
  which a model returns the logarithm, the auxiliary logits `out<i>` from coarse to fine, level i of the features of the first
  date (`feat<i>_t1`, every eighth channel), and the `tokens` of both dates after the token encoder. An array is stored as its
  `shape`, `largest` magnitude, `mean`, root mean square (`rms`), and `values`: the elements at `sampled_indices(size)` of the
  flattened array. `tap` says where the model of cdzoo computes it, see `Tap`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).with_name("golden")
SAMPLED = 64
# Larger than any stored array and prime: consecutive multiples visit rows, columns, channels and samples evenly, none twice.
STRIDE = 1_000_003


def golden_names() -> list[str]:
    """Return the networks that have a golden file."""
    return sorted(path.stem for path in GOLDEN.glob("*.json"))


def sampled_indices(size: int) -> np.ndarray:
    """Return the flat indices at which an array of `size` elements is stored: `i * STRIDE % size` for i below 64, or all."""
    return np.arange(min(size, SAMPLED)) * STRIDE % size


def expand(pattern: str) -> list[str]:
    """Return the keys that a pattern stands for: `a{0-1,3}.{x,y}` is a0.x, a0.y, a1.x, a1.y, a3.x, a3.y."""
    match = re.search(r"\{(.*?)\}", pattern)
    if match is None:
        return [pattern]
    alternatives: list[str] = []
    for item in match[1].split(","):
        bounds = re.fullmatch(r"(\d+)-(\d+)", item)
        alternatives += [item] if bounds is None else map(str, range(int(bounds[1]), int(bounds[2]) + 1))
    return [key for value in alternatives for key in expand(pattern[: match.start()] + value + pattern[match.end() :])]


@dataclass(frozen=True)
class Summary:
    """What is stored of an output array."""

    shape: tuple[int, ...]
    largest: float
    mean: float
    rms: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, array: np.ndarray) -> Summary:
        """Summarize an array in float64."""
        flat = array.astype(np.float64).ravel()
        values = flat[sampled_indices(flat.size)]
        return cls(array.shape, np.abs(flat).max(), flat.mean(), np.sqrt(np.square(flat).mean()), tuple(values))

    def error(self, other: Summary) -> float:
        """Return the largest difference from another summary, relative to the largest magnitude of this one.

        If all elements of two arrays differ by at most d, so do their largest magnitudes, means and root mean squares.
        """
        assert self.shape == other.shape, f"shape {other.shape} instead of {self.shape}"
        mine, theirs = (np.array([s.largest, s.mean, s.rms, *s.values]) for s in (self, other))
        return float(np.abs(mine - theirs).max() / self.largest)


@dataclass(frozen=True)
class Tap:
    """Where a model computes an inner feature.

    Attributes:
        module: Path of the submodule that returns it; empty for an output of the model.
        item: Index of the feature, or name of the output, if the submodule returns several.
        date: Which half of a batch of two dates it is; None if it is the whole batch.
        step: Stored entries along each axis: every `step`-th; all by default.
    """

    module: str
    item: int | str | None = None
    date: int | None = None
    step: tuple[int, ...] = ()

    def read(self, output: Any) -> Any:
        """Return the feature, given the output of the submodule."""
        feature = output if self.item is None else output[self.item]
        if self.date is not None:
            feature = feature.chunk(2)[self.date]
        return feature[tuple(slice(None, None, step) for step in self.step)]


@dataclass(frozen=True)
class Golden:
    """The golden file of one network, patterns expanded."""

    params: int
    gmacs: float
    scan_gflops: float
    state: dict[str, tuple[int, ...]]
    unused: frozenset[str]
    outputs: dict[str, Summary]
    taps: dict[str, Tap]
    size: int
    fill_rule: tuple[tuple[str, float, float], ...]


def read_golden(name: str) -> Golden:
    """Read the golden file of a network."""
    fields: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    state = [(key, tuple(shape)) for pattern, shape in fields["state"].items() for key in expand(pattern)]
    assert len(dict(state)) == len(state), f"{name}.json lists a key twice"
    outputs: dict[str, dict[str, Any]] = fields["outputs"]
    taps = {key: Tap(**value.pop("tap")) for key, value in outputs.items() if "tap" in value}
    return Golden(
        fields["params"],
        fields["gmacs"],
        fields["scan_gflops"],
        dict(state),
        frozenset(key for pattern in fields["unused"] for key in expand(pattern)),
        {key: Summary(tuple(v.pop("shape")), values=tuple(v.pop("values")), **v) for key, v in outputs.items()},
        taps,
        fields.get("size", 64),
        tuple(tuple(rule) for rule in fields.get("fill_rule", ())),
    )

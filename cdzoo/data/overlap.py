"""Hashes of the images of pairs, by which weights remember what they were trained and selected on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.data.content import file_digest, stored_files, tensor_digest
from cdzoo.data.listing import PairFiles
from cdzoo.data.sample import as_sample
from cdzoo.tiling import Window

_THREADS = 4
_DIGITS = 16
_PLACED = re.compile(r"(\w+)@(-?\d+),(-?\d+),(\d+),(\d+)")
_USES = {
    "train": "were trained on",
    "unlabeled": "were trained on without their masks",
    "val": "were used to select the weights",
    "init": "were trained or selected on by the weights that the training started from",
}


def sample_hashes(samples: Any) -> list[str]:
    """Return a hash of the images of each pair: of files, of generated samples, or of a list of samples; else nothing."""
    if hasattr(samples, "hashes"):
        return list(samples.hashes())
    if isinstance(samples, list | tuple):
        return [_digest(sorted(map(tensor_digest, as_sample(item).images))) for item in samples]
    return []


def pair_hashes(pairs: Iterable[PairFiles]) -> list[str]:
    """Return a hash of the images of each pair, which depends neither on names nor on masks nor on the order of the dates."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_pair_hash, pairs))


def window_hashes(pair: PairFiles, windows: Iterable[Window]) -> list[str]:
    """Return the hash of a pair with the place of each window, such as `0123456789abcdef@256,512,256,256`: y, x, height, width.

    By these, windows of other sizes that share ground are found, too.
    """
    (digest,) = pair_hashes([pair])
    return [f"{digest}@{area.y},{area.x},{area.height},{area.width}" for area in windows]


def name_hash(name: str) -> str:
    """Return a hash of a generated sample, whose name determines its content."""
    return _digest([name.encode()])


def memory(splits: Mapping[str, Any], initial: Mapping[str, Sequence[str]] | None = None) -> dict[str, list[str]]:
    """Return what weights remember: hashes of the splits they were trained and selected on, and those of their initial weights.

    Args:
        splits: Samples of each split.
        initial: What the initial weights remember.
    """
    own = {split: sample_hashes(samples) for split, samples in splits.items()}
    inherited = sorted({one for hashes in (initial or {}).values() for one in hashes})
    return {**own, **({"init": inherited} if inherited else {})}


def overlap(scored: Sequence[str], remembered: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the number of scored pairs in each list that weights remember, such as `{"train": 0, "val": 2}`.

    Windows of scenes count if they share a pixel with one of the list, see `window_hashes`.
    """
    known = {use: hashes for use, hashes in remembered.items() if use in _USES}
    return {use: _shared(scored, hashes) for use, hashes in known.items()}


def _shared(scored: Sequence[str], remembered: Sequence[str]) -> int:
    known, places = set(remembered), dict[str, list[list[int]]]()
    for one in remembered:
        if (placed := _PLACED.fullmatch(one)) is not None:
            places.setdefault(placed[1], []).append([int(number) for number in placed.groups()[1:]])
    areas = {digest: np.array(windows) for digest, windows in places.items()}
    return sum(one in known or _meets(one, areas) for one in scored)


def _meets(one: str, areas: Mapping[str, npt.NDArray[np.int64]]) -> bool:
    """Return whether a window shares a pixel with others of its scene."""
    placed = _PLACED.fullmatch(one)
    if placed is None or placed[1] not in areas:
        return False
    y, x, height, width = (int(number) for number in placed.groups()[1:])
    top, left, down, across = areas[placed[1]].T
    return bool(((top < y + height) & (y < top + down) & (left < x + width) & (x < left + across)).any())


def describe_overlap(pairs: int, found: Mapping[str, int]) -> str:
    """Return a line about the result of `overlap` for a number of scored pairs."""
    if not found:
        return f"{pairs} pairs scored; the weights do not record which pairs they were trained on"
    line = f"of the {pairs} pairs scored, " + ", ".join(f"{count} {_USES[use]}" for use, count in found.items())
    return f"OVERLAP: {line}; the scores do not measure generalization" if any(found.values()) else line


def _pair_hash(pair: PairFiles) -> str:
    return _digest(sorted(b"".join(map(file_digest, stored_files(path))) for path in pair.images))


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:_DIGITS]

"""Hashes of the images of pairs, by which weights remember what they were trained and selected on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cdzoo.data.content import file_digest, tensor_digest
from cdzoo.data.listing import PairFiles
from cdzoo.data.sample import as_sample
from cdzoo.io.images import image_files

_THREADS = 4
_DIGITS = 16
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
    """Return the number of scored pairs in each list that weights remember, such as `{"train": 0, "val": 2}`."""
    known = {use: set(hashes) for use, hashes in remembered.items() if use in _USES}
    return {use: sum(one in hashes for one in scored) for use, hashes in known.items()}


def describe_overlap(pairs: int, found: Mapping[str, int]) -> str:
    """Return a line about the result of `overlap` for a number of scored pairs."""
    if not found:
        return f"{pairs} pairs scored; the weights do not record which pairs they were trained on"
    line = f"of the {pairs} pairs scored, " + ", ".join(f"{count} {_USES[use]}" for use, count in found.items())
    return f"OVERLAP: {line}; the scores do not measure generalization" if any(found.values()) else line


def _pair_hash(pair: PairFiles) -> str:
    return _digest(sorted(b"".join(map(file_digest, image_files(path))) for path in pair.images))


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:_DIGITS]

"""Hashes of the images of pairs, by which weights remember what they were trained and selected on."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from cdzoo.data.layout import PairFiles
from cdzoo.data.sample import as_sample
from cdzoo.io.files import file_sha256
from cdzoo.io.images import image_files

_THREADS = 4
_DIGITS = 16
_USES = {
    "train": "were trained on",
    "val": "were used to select the weights",
    "init": "were trained or selected on by the weights that the training started from",
}


def sample_hashes(samples: Any) -> list[str]:
    """Return a hash of the images of each pair: of files, of generated samples, or of a list of samples; else nothing."""
    if hasattr(samples, "hashes"):
        return list(samples.hashes())
    if isinstance(samples, list | tuple):
        return [_digest(sorted(map(_tensor_hash, as_sample(item).images))) for item in samples]
    return []


def pair_hashes(pairs: Iterable[PairFiles]) -> list[str]:
    """Return a hash of the images of each pair, which depends neither on names nor on masks nor on the order of the dates."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_pair_hash, pairs))


def name_hash(name: str) -> str:
    """Return a hash of a generated sample, whose name determines its content."""
    return _digest([name])


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
    return _digest(sorted(map(_image_hash, pair.images)))


def _image_hash(path: Path) -> str:
    files = image_files(path)
    hashes = [_file_hash(file, (found := file.stat()).st_size, found.st_mtime_ns) for file in files]
    return hashes[0] if len(hashes) == 1 else _digest(hashes)


@functools.lru_cache(maxsize=1 << 20)
def _file_hash(path: Path, size: int, time: int) -> str:
    return file_sha256(path)


def _tensor_hash(image: torch.Tensor) -> str:
    values = image.detach().cpu().contiguous()
    return _digest(
        [f"{values.dtype} {tuple(values.shape)}", hashlib.sha256(values.view(torch.uint8).numpy().tobytes()).hexdigest()]
    )


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]

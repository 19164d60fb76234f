"""Deterministic splits for data sets without official ones; they depend only on the names of the samples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from cdzoo.errors import InputError

RANDOM_SPLITS = ("train",) * 8 + ("val", "test")
"""The ten equal parts of `random_split`."""

_SALT = {"validation": "cdzoo validation 1", "test": "cdzoo test 1"}
_LEFT = {"validation": 1, "test": 2}
"""Number of scenes or blocks that remain at least."""
_FEWEST = 5
_TILE = re.compile(r"(?:[_-]\d{1,5}){2}$")


def scene_of(name: str) -> str:
    """Return the scene that a tile was cut from: its name without a trailing `_row_column`."""
    return _TILE.sub("", name) or name


def holdout_split(names: Sequence[str], fraction: float = 0.1) -> set[str]:
    """Choose training samples for validation.

    Scenes are ordered by a hash of their names and taken until `fraction` of the samples is reached. All tiles of a scene are
    thus in the same split, and the result does not depend on the order of `names`.

    Args:
        names: Names of the training samples.
        fraction: Fraction of the samples to take, in (0, 1); at least one sample is taken.

    Returns:
        Names of the validation samples.

    Raises:
        InputError: There is only one sample.
    """
    chosen = _choose(names, fraction, "validation", _LEFT["validation"])
    if not chosen:
        raise InputError("one pair cannot be split into training and validation; name validation pairs with --val FOLDER")
    return chosen


def holdout_test(names: Sequence[str], fraction: float = 0.1) -> set[str]:
    """Choose the test samples of a folder without splits as `holdout_split` does; two scenes, or tiles of one, are left.

    Returns:
        Names of the test samples; none if there are fewer than five samples.
    """
    return _choose(names, fraction, "test", _LEFT["test"]) if len(names) >= _FEWEST else set()


def holdout_blocks(blocks: Mapping[str, int], fraction: float, purpose: Literal["validation", "test"]) -> set[str]:
    """Choose blocks of scenes for validation or test as `holdout_split` and `holdout_test` choose scenes.

    Args:
        blocks: Number of windows of each block.
        fraction: Fraction of the windows to take, in (0, 1); at least one block is taken, and one or two are left.
        purpose: What they are for.
    """
    return {*_take(blocks, fraction, purpose, _LEFT[purpose])}


def _choose(names: Sequence[str], fraction: float, purpose: str, left: int) -> set[str]:
    """Return names of scenes in the order of their hashes until a fraction is reached; at least `left` scenes remain."""
    scenes: dict[str, list[str]] = {}
    for name in names:
        scenes.setdefault(scene_of(name), []).append(name)
    if len(scenes) <= left:  # too few scenes: split their tiles instead
        scenes = {name: [name] for name in names}
    counts = {scene: len(members) for scene, members in scenes.items()}
    return {name for scene in _take(counts, fraction, purpose, left) for name in scenes[scene]}


def _take(counts: Mapping[str, int], fraction: float, purpose: str, left: int) -> list[str]:
    """Return groups in the order of their hashes until a fraction of their members is reached; at least `left` groups remain."""
    wanted = max(1, round(fraction * sum(counts.values())))
    chosen: list[str] = []
    for group in sorted(counts, key=lambda group: hashlib.sha256(f"{_SALT[purpose]}:{group}".encode()).hexdigest())[:-left]:
        if sum(counts[one] for one in chosen) >= wanted:
            break
        chosen.append(group)
    return chosen


def random_split(name: str, parts: Sequence[str] = RANDOM_SPLITS) -> str:
    """Return the split of a sample by a hash of the name of its scene; by default in an 8:1:1 split.

    Args:
        name: Name of the sample.
        parts: Split of each of some equal parts of the data, with `"train"` first.
    """
    digest = hashlib.sha256(f"cdzoo {split_ratio(parts)} {scene_of(name)}".encode()).digest()
    return parts[int.from_bytes(digest[:8], "big") % len(parts)]


def split_ratio(parts: Sequence[str] = RANDOM_SPLITS) -> str:
    """Return the sizes of the splits of `random_split`, such as `"8:1:1"`."""
    return ":".join(str(parts.count(split)) for split in dict.fromkeys(parts))

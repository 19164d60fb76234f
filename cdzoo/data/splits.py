"""Deterministic splits for data sets without official ones; they depend only on the names of the samples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from cdzoo.errors import InputError

RANDOM_SPLITS = ("train",) * 8 + ("val", "test")
"""The ten equal parts of `random_split`."""

_SALT = {"validation": "cdzoo validation 1", "test": "cdzoo test 1"}
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
    chosen = _choose(names, fraction, "validation", 1)
    if not chosen:
        raise InputError("one pair cannot be split into training and validation; name validation pairs with --val FOLDER")
    return chosen


def holdout_test(names: Sequence[str], fraction: float = 0.1) -> set[str]:
    """Choose the test samples of a folder without splits as `holdout_split` does; two scenes, or tiles of one, are left.

    Returns:
        Names of the test samples; none if there are fewer than five samples.
    """
    return _choose(names, fraction, "test", 2) if len(names) >= _FEWEST else set()


def _choose(names: Sequence[str], fraction: float, purpose: str, left: int) -> set[str]:
    """Return names of scenes in the order of their hashes until a fraction is reached; at least `left` scenes remain."""
    scenes: dict[str, list[str]] = {}
    for name in names:
        scenes.setdefault(scene_of(name), []).append(name)
    if len(scenes) <= left:  # too few scenes: split their tiles instead
        scenes = {name: [name] for name in names}
    wanted = max(1, round(fraction * len(names)))
    chosen: set[str] = set()
    for scene in sorted(scenes, key=lambda scene: hashlib.sha256(f"{_SALT[purpose]}:{scene}".encode()).hexdigest())[:-left]:
        if len(chosen) >= wanted:
            break
        chosen.update(scenes[scene])
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

"""A validation split where a data set has none: the same one everywhere, for ever."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from cdzoo.errors import InputError

_SALT = "cdzoo validation 1"
_TILE = re.compile(r"(?:[_-]\d{1,5}){2}$")


def scene_of(name: str) -> str:
    """Return the scene that a sample is cut from: the name without a trailing `_row_column`, if it has one."""
    return _TILE.sub("", name) or name


def carve(names: Sequence[str], share: float = 0.1) -> set[str]:
    """Choose the samples of a validation split among training samples.

    Scenes are ordered by a hash of their names and taken until `share` of the samples is reached, so the choice depends
    on the names alone, and tiles of one scene stay on one side.

    Args:
        names: Names of the training samples.
        share: Part of the samples to take, in (0, 1); at least one is.

    Returns:
        Names of the chosen samples.

    Raises:
        InputError: There is only one scene, of which nothing can be spared.
    """
    scenes: dict[str, list[str]] = {}
    for name in names:
        scenes.setdefault(scene_of(name), []).append(name)
    if len(scenes) < 2:  # tiles of one scene are all there is: neighbours must do
        scenes = {name: [name] for name in names}
    if len(scenes) < 2:
        raise InputError("one pair cannot be split into training and validation; name validation pairs with --val FOLDER")
    wanted = max(1, round(share * len(names)))
    chosen: set[str] = set()
    for scene in sorted(scenes, key=_rank)[:-1]:
        if len(chosen) >= wanted:
            break
        chosen.update(scenes[scene])
    return chosen


def _rank(scene: str) -> str:
    return hashlib.sha256(f"{_SALT}:{scene}".encode()).hexdigest()

"""Deterministic validation splits of data sets without one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from cdzoo.errors import InputError

_SALT = "cdzoo validation 1"
_TILE = re.compile(r"(?:[_-]\d{1,5}){2}$")


def scene_of(name: str) -> str:
    """Return the scene that a sample is a tile of: the name without a trailing `_row_column`, if it has one."""
    return _TILE.sub("", name) or name


def holdout_split(names: Sequence[str], share: float = 0.1) -> set[str]:
    """Choose the samples of a validation split among training samples.

    Scenes are ordered by a hash of their names and chosen until `share` of the samples is reached. The choice depends only on the
    names, and tiles of one scene stay together.

    Args:
        names: Names of the training samples.
        share: Share of the samples, in (0, 1); at least one is chosen.

    Returns:
        Names of the chosen samples.

    Raises:
        InputError: There is only one sample.
    """
    scenes: dict[str, list[str]] = {}
    for name in names:
        scenes.setdefault(scene_of(name), []).append(name)
    if len(scenes) < 2:  # the tiles of a single scene are split
        scenes = {name: [name] for name in names}
    if len(scenes) < 2:
        raise InputError("one pair cannot be split into training and validation; pass validation pairs with --val FOLDER")
    wanted = max(1, round(share * len(names)))
    chosen: set[str] = set()
    for scene in sorted(scenes, key=_rank)[:-1]:
        if len(chosen) >= wanted:
            break
        chosen.update(scenes[scene])
    return chosen


def _rank(scene: str) -> str:
    return hashlib.sha256(f"{_SALT}:{scene}".encode()).hexdigest()

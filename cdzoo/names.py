"""Natural sort order of names, selection by wildcards, and the nearest match to a misspelled name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

Patterns = str | Iterable[str]
"""A wildcard (fnmatch), or several of them."""


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key that orders `s2` before `s10`."""
    return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in re.split(r"(\d+)", name.lower()) if piece]


def select(names: Iterable[str], wanted: Patterns, unwanted: Patterns = ()) -> list[str]:
    """Return the names that match `wanted` and do not match `unwanted`, in natural order."""
    include, exclude = ((patterns,) if isinstance(patterns, str) else tuple(patterns) for patterns in (wanted, unwanted))

    def matches(name: str, patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    return sorted((name for name in names if matches(name, include) and not matches(name, exclude)), key=natural_key)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` if `name` is close to one of the `known` names, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""

"""Names: natural sort order, selection by wildcards, and messages about unknown names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from cdzoo.errors import CdzooError, ConfigError

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


def check_known(label: str, name: str, known: Iterable[str], error: type[CdzooError] = ConfigError) -> None:
    """Raise `error` unless `name` is one of the `known` names; the message suggests the nearest one and lists all of them.

    Args:
        label: First words of the message, such as "unknown task".
        name: Name to check.
        known: Known names.
        error: Type of the exception.
    """
    known = list(known)
    if name not in known:
        raise error(f"{label} '{name}'.{suggest(name, known)} Known: {', '.join(known)}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` if `name` is close to one of the `known` names, else an empty string."""
    close = nearest(name, known)
    return f" Did you mean '{close}'?" if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the one of the `known` names that is closest to `name`; an empty string if none is close."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")

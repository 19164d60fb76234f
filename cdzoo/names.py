"""Natural sort order of names, and the nearest match to a misspelled name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key that orders `s2` before `s10`."""
    return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in re.split(r"(\d+)", name.lower()) if piece]


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` if `name` is close to one of the `known` names, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""

"""Progress bars: widgets in notebooks that have ipywidgets, lines of text elsewhere."""

from __future__ import annotations

import sys

from tqdm.auto import tqdm

__all__ = ["is_watched", "tqdm"]


def is_watched() -> bool:
    """Return whether standard error is a terminal or a notebook, and no file."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel.")

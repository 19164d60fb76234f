"""`Family`: how the parameters of one published network are called in its official code."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

FAMILIES: list[Family] = []


@dataclass(frozen=True)
class Family:
    """The names of one family of models.

    Attributes:
        models: fnmatch wildcards of the registered models that it covers.
        official_key: Turns the name of one of our parameters or buffers into the official one. It must be one-to-one.
        source: The official code, for messages: `owner/repository`.
        ignored: Wildcards of official keys that carry nothing (tables computed again, heads that were deleted).
    """

    models: tuple[str, ...]
    official_key: Callable[[str], str]
    source: str
    ignored: tuple[str, ...] = ()

    def covers(self, model_name: str) -> bool:
        """Tell whether this is the family of `model_name`."""
        return any(fnmatch.fnmatchcase(model_name, pattern) for pattern in self.models)


def register_family(family: Family) -> Family:
    """Add a family; the first that covers a model is its own."""
    FAMILIES.append(family)
    return family


def substitute(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Replace the longest prefix of `key` that one of `rules` (ours, official) names; a key that none names stays as it is."""
    best = max((rule for rule in rules if key.startswith(rule[0])), key=lambda rule: len(rule[0]), default=("", ""))
    return best[1] + key[len(best[0]) :]

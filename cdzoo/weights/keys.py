"""`KeyMap`: names of the parameters of a published network in its official code."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

KEY_MAPS: list[KeyMap] = []


@dataclass(frozen=True)
class KeyMap:
    """Names of the parameters of a family of models in the official code.

    Attributes:
        models: Wildcards (fnmatch) of the registered models.
        official_key: Returns the official name of a parameter or buffer. Must be one-to-one.
        source: Repository of the official code (`owner/repository`), for messages.
        ignored: Wildcards of official keys without a counterpart: recomputed tables, unused heads.
        current_key: Returns the current official name of a name from another version of the official code; `from_official`
            accepts both.
    """

    models: tuple[str, ...]
    official_key: Callable[[str], str]
    source: str
    ignored: tuple[str, ...] = ()
    current_key: Callable[[str], str] = str

    def covers(self, model_name: str) -> bool:
        """Return whether the key map applies to `model_name`."""
        return any(fnmatch.fnmatchcase(model_name, pattern) for pattern in self.models)

    def ignores(self, official_key: str) -> bool:
        """Return whether an official key has no counterpart."""
        return any(fnmatch.fnmatchcase(official_key, pattern) for pattern in self.ignored)


def register_key_map(key_map: KeyMap) -> KeyMap:
    """Register a key map. The first one that covers a model applies."""
    KEY_MAPS.append(key_map)
    return key_map


def substitute(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Replace the longest prefix of `key` among `rules` (our prefix, official prefix); other keys are returned unchanged."""
    best = max((rule for rule in rules if key.startswith(rule[0])), key=lambda rule: len(rule[0]), default=("", ""))
    return best[1] + key[len(best[0]) :]

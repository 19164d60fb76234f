"""`KeyMap`: names of the parameters of a published network in its official code."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdzoo.errors import ConfigError

KEY_MAPS: list[KeyMap] = []


@dataclass(frozen=True)
class KeyMap:
    """Names of the parameters of a family of models in the official code.

    Attributes:
        models: Wildcards (fnmatch) of the registered models.
        official_key: Returns the official name of a parameter or buffer. Must be one-to-one, except for `joined`.
        source: Repository of the official code (`owner/repository`), for messages.
        ignored: Wildcards of official keys without a counterpart: recomputed tables, unused heads.
        joined: Wildcards of official tensors that contain several parameters of the model, concatenated along the first axis in
            the order of the model: packed projections of attention.
        pointwise: Wildcards of official 1x1 convolutions that are linear layers in the model.
        current_key: Returns the current official name of a name from another version of the official code; `from_official`
            accepts both.
        copies: Prefixes of official names, and those of further names of the same tensors, which `to_official` adds.
    """

    models: tuple[str, ...]
    official_key: Callable[[str], str]
    source: str
    ignored: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    pointwise: tuple[str, ...] = ()
    current_key: Callable[[str], str] = str
    copies: tuple[tuple[str, str], ...] = ()

    def covers(self, model_name: str) -> bool:
        """Return whether the key map applies to `model_name`."""
        return _matches(model_name, self.models)

    def ignores(self, official_key: str) -> bool:
        """Return whether an official key has no counterpart."""
        return _matches(official_key, self.ignored)

    def group(self, keys: Iterable[str]) -> dict[str, list[str]]:
        """Return the names of the parameters of a model that each official tensor contains.

        Raises:
            ConfigError: Several parameters have the same official name, which `joined` does not match.
        """
        groups: dict[str, list[str]] = {}
        for key in keys:
            groups.setdefault(self.official_key(key), []).append(key)
        for official, members in groups.items():
            if len(members) > 1 and not _matches(official, self.joined):
                raise ConfigError(f"the key map of {self.source} is not one-to-one: {' and '.join(members)} are both {official}")
        return groups

    def join(self, official_key: str, values: Sequence[Tensor]) -> Tensor:
        """Return the official tensor that contains the parameters `values` of a model."""
        value = torch.cat(list(values)) if len(values) > 1 else values[0]
        return value[..., None, None] if _matches(official_key, self.pointwise) else value

    def split(self, official_key: str, value: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
        """Return the parameters, of the shapes of `like`, that an official tensor contains; the inverse of `join`."""
        if _matches(official_key, self.pointwise):
            value = value[..., 0, 0]
        if len(like) == 1:
            return [value]
        parts: Sequence[Tensor] = torch.split(value, [len(part) for part in like])
        return [part.clone() for part in parts]  # files store no two views of one tensor


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def register_key_map(key_map: KeyMap) -> KeyMap:
    """Register a key map. The first one that covers a model applies."""
    KEY_MAPS.append(key_map)
    return key_map


def substitute(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Replace the longest prefix of `key` among `rules` (our prefix, official prefix); other keys are returned unchanged."""
    best = max((rule for rule in rules if key.startswith(rule[0])), key=lambda rule: len(rule[0]), default=("", ""))
    return best[1] + key[len(best[0]) :]

"""YAML without anchors: a few lines of anchors can stand for thousands of millions of values."""

from __future__ import annotations

from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES = 1 << 20
_MAX_DEPTH = 32


def load_yaml(text: str) -> Any:
    """Read a YAML document of plain values.

    Raises:
        yaml.YAMLError: The text is not YAML, has an anchor or an alias, or is too long or too deeply nested.
    """
    check_yaml(text)
    try:
        return yaml.load(text, Loader=_LOADER)
    except ValueError as error:  # a date that does not exist, a number of thousands of digits
        raise yaml.YAMLError(str(error)) from error


def check_yaml(text: str) -> None:
    """Raise if a YAML document is too large to read.

    Raises:
        yaml.YAMLError: The text is not YAML, has an anchor, an alias or a null character, or is too long or too deeply nested.
    """
    if len(text) > _MAX_BYTES:
        raise yaml.YAMLError(f"{len(text):,} characters are too many")
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.YAMLError(f"anchors (&) and aliases (*) are not supported, line {line}")
        if isinstance(event, yaml.ScalarEvent) and "\0" in event.value:
            raise yaml.YAMLError(f"a null character, line {line}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {_MAX_DEPTH} levels deep, line {line}")

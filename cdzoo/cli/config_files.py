"""YAML files of options (`--config`), and values of options in YAML."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from cdzoo.errors import ConfigError
from cdzoo.io.plain_yaml import check_yaml, load_yaml

PARSER_MODE = "plain_yaml"
"""Mode of a parser of jsonargparse whose values and config files have no anchors."""


def check_config_files(words: Sequence[str]) -> None:
    """Check the files named by `--config` in the words of a command line.

    Raises:
        ConfigError: A file cannot be read, is not YAML, has anchors, or does not contain options.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config", action="append", default=[], nargs="?")
    for file in first.parse_known_args(list(words))[0].config:
        if file is not None:
            _check(file)


def first_line(error: Exception) -> str:
    """Return the first line of an error message."""
    return str(error).partition("\n")[0]


def _check(file: str) -> None:
    try:
        values = load_yaml(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {file}: cannot be read as YAML ({first_line(error)})") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"--config {file}: expected lines of the form option: value")
    if "config" in values:
        raise ConfigError(f"--config {file}: a config file cannot name another one; pass --config twice")


def _load_value(text: str) -> Any:
    """Read a value or a config file for the parser, in its dialect of YAML, in which 1e-4 is a number."""
    check_yaml(text)
    try:
        return get_loader("yaml")(text)
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


set_loader(PARSER_MODE, _load_value, exceptions=(yaml.YAMLError,))

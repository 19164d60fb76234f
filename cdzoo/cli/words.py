"""Words of a command line: spellings of options, and messages about those that are misspelled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from cdzoo.cli.config_files import first_line
from cdzoo.errors import ConfigError
from cdzoo.io.plain_yaml import load_yaml
from cdzoo.names import nearest, suggest

_HELP = "--help shows the options."
_HELP_ALL = "--help-all shows all options."
_ELSEWHERE = {
    **{"learning-rate": "lr", "max-epochs": "epochs", "num-epochs": "epochs", "bs": "batch-size", "gpus": "devices"},
    **{"num-workers": "workers", "dataset": "data", "data-dir": "data", "root-dir": "data", "arch": "model", "net": "model"},
    **{"encoder": "backbone", "encoder-name": "backbone", "image-size": "crop", "img-size": "crop", "amp": "precision"},
    **{"output-dir": "out", "work-dir": "out", "save-dir": "out", "exist-ok": "overwrite", "logger": "log", "tta": "augment"},
    **{"weights": "model", "checkpoint": "model", "ckpt": "model", "random-seed": "seed", "classes": "num-classes"},
}
"""Options of cdzoo by what other programs call them."""


def flag_of(name: str) -> str:
    """Return the spelling of an option on the command line."""
    return "--" + name.rstrip("_").replace("_", "-")  # `for_`: a word that Python reserves


def normalize(words: Sequence[str], actions: Mapping[str, Any]) -> list[str]:
    """Replace underscores in options by hyphens, and split lists given as JSON into words."""
    result: list[str] = []
    several = False
    for word in words:
        if word.startswith("--") and len(word) > 2:
            option, equals, word = word.partition("=")
            base, dot, key = option.partition(".")
            base = flag_of(base[2:])
            if base not in actions:
                raise ConfigError(f"unknown option {base}.{_suggest_option(base, actions)} {_HELP_ALL}")
            if dot and f"{base}-kwargs" in actions:
                raise ConfigError(f"{base} takes a name; for an argument of the component, write {base}-kwargs.{key} VALUE")
            several = actions[base].nargs not in (None, "?", 0)
            if not equals or not several:
                result.append(f"{base}{dot}{key.replace('-', '_')}{equals}{word}")
                continue
            result.append(base)
        elif word.startswith("-") and len(word) > 2 and flag_of(word[1:]) in actions:  # argparse would read -out as -o ut
            raise ConfigError(f"unknown option {word}. Did you mean '{flag_of(word[1:])}'? {_HELP_ALL}")
        items = _items(option, word) if several and word.startswith("[") else word
        result += [str(item) for item in items] if isinstance(items, list) else [word]
    return result


def _suggest_option(option: str, actions: Mapping[str, Any]) -> str:
    """Return a question that names the nearest option, see `cdzoo.names.suggest`."""
    elsewhere = {flag_of(theirs): flag_of(ours) for theirs, ours in _ELSEWHERE.items() if flag_of(ours) in actions}
    close = nearest(option, [*actions, *elsewhere])
    return f" Did you mean '{elsewhere.get(close, close)}'?" if close else ""


def _items(option: str, word: str) -> Any:
    try:
        return load_yaml(word)
    except yaml.YAMLError as error:
        raise ConfigError(f"{option}: {word[:60]!r} is not a list ({first_line(error)})") from None


def explain(message: str, actions: Mapping[str, Any], words: Sequence[str] = ()) -> str:
    """Shorten an error message of the parser, and explain it with the words of the command line."""
    if "--config" not in actions:  # the command takes no key=value
        pairs = [word.partition("=") for word in words if "=" in word[1:]]
        if given := [f"{flag_of(key)} {value}" for key, _, value in pairs if flag_of(key) in actions]:
            return f"only cdzoo train takes key=value; write {' '.join(given)}. {_HELP}"
    known = {action.dest for action in actions.values()}
    if found := re.match(r"Option '([^']+)' is not accepted", message):
        return f"unknown option '{found[1]}' in the config file.{suggest(found[1], known)}"
    if found := re.match(r"the following arguments are required: (.+)", message):
        names = [flag_of(name) if name in known else name.upper() for name in found[1].split(", ")]
        return f"{', '.join(names)} required. {_HELP}"
    if found := re.match(r'Parser key "([^"]+)"[^:]*:\s*(.+)', message, re.DOTALL):
        values = re.findall(r"(?:Got|Given) value: (.+)", found[2])
        return f"{flag_of(found[1])}: {f'invalid value {values[-1]!r}' if values else found[2]}"
    return message.replace("\n", " ")

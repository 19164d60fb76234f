"""`key=value`, `--recipe` and `--resume` as what the parser understands: options and files of options."""

from __future__ import annotations

import re
from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.recipes import recipe_path

RUN_FILE = "run.yaml"


def expand_train(argv: list[str]) -> list[str]:
    """Rewrite the words of `cdzoo train`; options given later win, so files of options go first.

    Raises:
        InputError: The folder to continue holds no run.
        UnknownNameError: There is no such recipe.
    """
    files: list[str] = []
    words = [_option(word) for word in argv[1:]]
    for name in ("--recipe", "--resume"):
        value = _value(words, name)
        if value is None:
            continue
        if name == "--recipe":
            files += ["--config", str(recipe_path(value))]
        else:
            run = Path(value) / RUN_FILE
            if not run.is_file():
                raise InputError(f"--resume {value}: there is no {RUN_FILE} in that folder, so no run of cdzoo train to continue")
            files += ["--config", str(run)]
    return [argv[0], *files, *words]


def _option(word: str) -> str:
    return f"--{word}" if re.match(r"[a-z_][a-z0-9_.\-]*=", word) else word


def _value(words: list[str], name: str) -> str | None:
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None

"""Dispatch and exit codes of the console script `cdzoo`.

Exit codes: 0 success, 1 a check that found problems, 2 invalid input (one message), 130 Ctrl-C. Other errors are bugs and show a
traceback.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cdzoo._version import __version__
from cdzoo.cli.parse import build_parser, call
from cdzoo.errors import CdzooError, InputError
from cdzoo.names import suggest
from cdzoo.recipes import recipe_path
from cdzoo.registry import import_file

RUN_FILE = "run.yaml"


class Command(NamedTuple):
    """A command.

    Attributes:
        function: Its function, as `module:name`.
        help: One line for the list of commands.
        positional: Options that are positional arguments.
    """

    function: str
    help: str
    positional: tuple[str, ...] = ()

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        module, name = self.function.split(":")
        function: Callable[..., Any] = getattr(importlib.import_module(f"cdzoo.cli.{module}"), name)
        return function


COMMANDS = {
    "demo": Command("demo:demo", "map the change of synthetic scenes with the weights in the package"),
    "list": Command("zoo:list_", "list models, components, recipes and weights", ("pattern",)),
    "info": Command("zoo:info", "show the components and parameters of a model", ("model",)),
    "env": Command("zoo:env", "show versions, devices and scan backends"),
    "train": Command("train:train", "train a model on pairs of images"),
    "eval": Command("evaluate:evaluate", "score models on a split of a data set"),
    "reproduce": Command("evaluate:reproduce", "score weights again and compare with their results", ("model",)),
    "predict": Command("predict:predict", "map the change between two images or scenes", ("before", "after")),
    "data list": Command("data:list_", "list data sets and protocols"),
    "data info": Command("data:info", "describe a data set and check whether it is complete", ("name",)),
    "data check": Command("data:check", "read every file of a data set and report all problems", ("path",)),
    "data prepare": Command("data:prepare", "download, unpack and tile a data set", ("name",)),
    "convert": Command("hub:convert", "convert an official checkpoint", ("checkpoint", "out")),
    "push": Command("hub:push", "upload a model to the Hugging Face Hub", ("folder", "repo")),
    "pull": Command("hub:pull", "download a model from the Hugging Face Hub", ("source",)),
    "flops": Command("flops:flops", "count parameters and multiply-adds of models", ("model",)),
    "benchmark": Command("benchmark:benchmark", "time models side by side", ("model",)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = [_underscored(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    imports, words = _split_imports(words)
    warnings.showwarning = _show_warning
    try:
        name, words = _command(words)
        if name == "train":
            words = _expand_train(words)
        command = COMMANDS[name]
        function = command.load()
        parser = build_parser(name, function, command.positional, config=name == "train")
        values = parser.parse_args(words).as_dict()
        for file in imports:
            import_file(file)
        code = call(function, values)
    except CdzooError as error:
        print(f"cdzoo: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `cdzoo list | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("cdzoo: interrupted", file=sys.stderr)
        return 130
    return code or 0


def usage() -> str:
    """Return the list of commands."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: cdzoo COMMAND [options]",
            "",
            "Change detection in remote-sensing images.",
            "",
            "commands:",
            *lines,
            "",
            "cdzoo COMMAND --help shows the options of a command.",
        ]
    )


def _command(words: list[str]) -> tuple[str, list[str]]:
    """Split the words into the name of a command and its arguments."""
    if words[:1] == ["--version"]:
        print(f"cdzoo {__version__}")
        raise SystemExit(0)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        raise SystemExit(0 if words else 2)
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    group = [name for name in COMMANDS if name.split()[0] == words[0]]
    wanted = " ".join(words[:2]) if group else words[0]
    print(f"cdzoo: error: unknown command '{wanted}'.{suggest(wanted, COMMANDS)}\n\n{usage()}", file=sys.stderr)
    raise SystemExit(2)


def _expand_train(words: list[str]) -> list[str]:
    """Rewrite `key=value`, `--recipe` and `--resume` of `cdzoo train` as options and config files; later options win.

    Raises:
        InputError: The folder to resume contains no run.
        UnknownNameError: The recipe does not exist.
    """
    words = [f"--{word}" if re.match(r"[a-z_][a-z0-9_.\-]*=", word) else word for word in words]
    files: list[str] = []
    if (recipe := _value(words, "--recipe")) is not None:
        files += ["--config", str(recipe_path(recipe))]
    if (folder := _value(words, "--resume")) is not None:
        run = Path(folder) / RUN_FILE
        if not run.is_file():
            raise InputError(f"--resume {folder}: the folder contains no {RUN_FILE}, so no run of cdzoo train to resume")
        files += ["--config", str(run)]
    return [*files, *words]


def _value(words: list[str], name: str) -> str | None:
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _underscored(word: str) -> str:
    """Return an option with underscores: --batch-size is --batch_size. Values and file names are unchanged."""
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_") + equals + value


def _split_imports(words: list[str]) -> tuple[list[str], list[str]]:
    first = argparse.ArgumentParser(prog="cdzoo", add_help=False, allow_abbrev=False)
    first.add_argument("--import", dest="imports", action="append", default=[], metavar="FILE.py")
    known, rest = first.parse_known_args(words)
    return known.imports, rest


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    # Deprecation warnings of libraries are for developers.
    if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | FutureWarning):
        print(f"cdzoo: note: {message}", file=sys.stderr)

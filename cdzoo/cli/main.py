"""Dispatch and exit codes of the console script `cdzoo`.

Exit codes: 0 success, 1 a check that found problems, 2 invalid input or a file that cannot be read or written (one message), 75 a
training that was stopped and can be resumed, 130 Ctrl-C. Other errors are bugs and show a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from cdzoo._version import __version__
from cdzoo.cli.parse import build_parser, call, parse, summary
from cdzoo.errors import CdzooError, UnknownNameError, mask_urls, missing_extra, printable
from cdzoo.names import nearest
from cdzoo.tables import align

GROUPS = {
    "models": {
        "list": "zoo:list_names",
        "info": "zoo:show_model",
        "flops": "flops:count",
        "benchmark": "benchmark:benchmark",
        "export": "export:export",
        "convert": "hub:convert",
        "push": "hub:push",
        "pull": "hub:pull",
    },
    "training and evaluation": {
        "train": "train:train",
        "eval": "evaluate:evaluate",
        "reproduce": "evaluate:reproduce",
        "compare": "compare:compare",
    },
    "prediction": {
        "predict": "predict:predict",
        "footprints": "footprints:footprints",
        "stack": "stack:stack",
        "app": "app:app",
        "demo": "demo:demo",
    },
    "data": {
        "data list": "data:show_datasets",
        "data info": "data:show_dataset",
        "data check": "data:check",
        "data make": "data:make",
        "data prepare": "preparation:prepare",
    },
    "system": {"env": "zoo:show_environment", "completion": "completion:completion"},
}
"""Commands by group, each with the function that runs it as `module:name` in `cdzoo.cli`."""
COMMANDS = {name: function for group in GROUPS.values() for name, function in group.items()}
_HELP = ("-h", "--help", "--help-all", "help")
_ELSEWHERE = {
    **dict.fromkeys(("fit", "finetune"), "train"),
    **dict.fromkeys(("test", "validate", "evaluate", "score"), "eval"),
    **dict.fromkeys(("detect", "infer", "inference", "run", "map"), "predict"),
    **{"models": "list", "ls": "list", "datasets": "data list", "data ls": "data list", "upload": "push", "download": "pull"},
}
"""Commands of cdzoo by what other programs call them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return exit_code("cdzoo", lambda: _run(list(sys.argv[1:] if arguments is None else arguments)))


def exit_code(program: str, run: Callable[[], int | None]) -> int:
    """Run a program and return its exit code; invalid input and missing extras are one message."""
    try:
        with ExitStack() as stack:
            stack.enter_context(redirect_stdout(cast(TextIO, _Printable(sys.stdout))))
            stack.enter_context(redirect_stderr(cast(TextIO, _Printable(sys.stderr, bars=True))))
            stack.enter_context(warnings.catch_warnings())
            # Show deprecations of cdzoo, but not those of libraries.
            warnings.filterwarnings("default", message=r".*\bcdzoo\b", category=DeprecationWarning)
            warnings.showwarning = _show_warning
            return run() or 0
    except CdzooError as error:
        print(f"{program}: error: {printable(mask_urls(error))}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        print(f"{program}: error: {missing}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `cdzoo list | head`
        sys.stderr.close()
        return 0
    except OSError as error:  # a full disk, a folder without permission
        print(f"{program}: error: {printable(error.filename or 'a file')}: {printable(error.strerror or error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130


class _Printable:
    """Output for text that may come from files of others: control characters are escaped, and secrets in addresses masked.

    Progress bars keep their carriage returns, and the sequences that move them up, which they write on their own.
    """

    def __init__(self, stream: TextIO, bars: bool = False) -> None:
        self._stream, self._bars = stream, bars

    def write(self, text: str) -> int:
        shown = mask_urls(text)
        if not self._bars or shown.replace("\x1b[A", "").strip():
            shown = "\r".join(map(printable, shown.split("\r"))) if self._bars else printable(shown)
        self._stream.write(shown)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _run(words: list[str]) -> int:
    imports, words = _split_imports(words)
    if words[:1] == ["--version"]:
        print(f"cdzoo {__version__}")
        return 0
    group, rest = ("data", words[1:]) if words[:1] == ["data"] else ("", words)
    if not rest or rest[0] in _HELP:
        print(_usage(group))
        return 0
    name, words = f"{group} {rest[0]}".strip(), rest[1:]
    if name not in COMMANDS:
        close = nearest(name, [*COMMANDS, *_ELSEWHERE])
        near = f" Did you mean '{_ELSEWHERE.get(close, close)}'?" if close else ""
        raise UnknownNameError(f"unknown command '{name}'.{near} 'cdzoo --help' lists all commands.")
    if name == "train":
        from cdzoo.cli.train import expand

        words = expand(words)
    function = load(name)
    values = parse(build_parser(name, function, config=name == "train"), words)
    if imports:
        from cdzoo.imports import import_file

        for file in imports:
            import_file(file)
    return call(function, values) or 0


def load(command: str) -> Callable[..., Any]:
    """Return the function that runs a command."""
    module, name = COMMANDS[command].split(":")
    return getattr(importlib.import_module(f"cdzoo.cli.{module}"), name)


def _usage(prefix: str = "") -> str:
    """Return the list of commands, or of those that start with `prefix`."""
    width, size = max(map(len, COMMANDS)), shutil.get_terminal_size().columns
    lines = [f"usage: cdzoo {f'{prefix} ' if prefix else ''}COMMAND ...", "", "Change detection in remote-sensing images."]
    for title, commands in GROUPS.items():
        if not prefix or prefix == title:
            lines += ["", f"{title}:", align([(f"{name:<{width}}", summary(load(name))) for name in commands], size)]
    return "\n".join([*lines, "", "cdzoo COMMAND --help shows the options of a command."])


def _split_imports(words: list[str]) -> tuple[list[str], list[str]]:
    first = argparse.ArgumentParser(prog="cdzoo", add_help=False, allow_abbrev=False)
    first.add_argument("--import", dest="imports", action="append", default=[], metavar="FILE.py")
    known, rest = first.parse_known_args(words)
    return known.imports, rest


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    deprecated = issubclass(category, DeprecationWarning | PendingDeprecationWarning | FutureWarning)
    if not deprecated or "cdzoo" in str(message):
        print(f"cdzoo: note: {message}", file=sys.stderr)

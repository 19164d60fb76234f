"""Help of commands: all options, or the most used ones of commands that have more than fit on a screen."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection
from typing import Any

_OF_DATA = ("data", "pairs", "val", "value_range", "mask_encoding")
COMMON: dict[str, tuple[str, ...]] = {
    "info": ("pretrained", "in_chans", "num_classes", "task", "backbone", "neck", "fusion", "decoder", "head"),
    "train": (
        *("config", "out", "recipe", "init", "resume", "seeds"),
        *("model", "pretrained", "in_chans", "backbone", "neck", "fusion", "decoder", "head"),
        *_OF_DATA,
        *("epochs", "batch_size", "lr", "optimizer", "loss", "precision", "crop", "seed", "workers", "device", "log"),
    ),
    "eval": (
        *("model", "split", "out", "pictures", "per_image", "threshold", "batch_size", "workers", "device"),
        *_OF_DATA,
        *("protocol", "exclude"),
    ),
    "predict": (
        *("output", "model", "device", "probability", "polygons", "report", "footprints", "series", "manifest"),
        *("tile", "threshold", "augment", "value_range", "percentiles", "bands", "min_area"),
    ),
}
"""The options in the help of commands that have many; `--help-all` shows the others."""


class Help(argparse.Action):
    """Prints the help of a command and exits.

    Args:
        option_strings: Spellings of the option.
        dest: Unused.
        shown: Options to show by name; all of them by default.
        **kwargs: See `argparse.Action`.
    """

    def __init__(self, option_strings: list[str], dest: str = "", shown: Collection[str] | None = None, **kwargs: Any) -> None:
        kwargs = {**kwargs, "dest": argparse.SUPPRESS, "default": argparse.SUPPRESS, "nargs": 0}
        super().__init__(option_strings, **kwargs)
        self.shown = shown

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the help and exit with 0."""
        if self.shown is not None:
            _shorten(parser, self.shown)
        parser.print_help()
        parser.exit()


def add_help(parser: Any, command: str) -> None:
    """Add `--help` and `--help-all` to the parser of a command."""
    shown = COMMON.get(command)
    every = argparse.SUPPRESS if shown is None else "Show all options and exit."
    parser.add_argument("-h", "--help", action=Help, shown=shown, help="Show this help and exit.")
    parser.add_argument("--help-all", action=Help, help=every)


def _shorten(parser: argparse.ArgumentParser, shown: Collection[str]) -> None:
    """Hide the options of a parser that are not shown, and keep the first clause of the help of the others."""
    hidden = 0
    for action in parser._actions:
        if not action.option_strings or isinstance(action, Help):
            continue
        if action.dest not in shown and not action.required:
            hidden += action.help != argparse.SUPPRESS
            action.help = argparse.SUPPRESS
        elif action.help and action.help != argparse.SUPPRESS:
            text, default = re.fullmatch(r"(.*?)( \(default: .*\))?", action.help).groups(default="")  # type: ignore[union-attr]
            action.help = re.split(r"[.;] ", text)[0].rstrip(".") + default
    parser.epilog = f"{parser.prog} --help-all shows {hidden} more options. {parser.epilog}"

"""`cdzoo completion`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import shtab

from cdzoo.cli.parse import FOLDERS, options_of, summary
from cdzoo.cli.words import flag_of
from cdzoo.registry import COMPONENTS, MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

_MODELS = ("model", "init", "against")


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script that completes commands, options and names.

    The script contains the names of this version and of installed plugins: write it again after an update.

    Args:
        shell: bash, zsh or fish.
    """
    from cdzoo.cli.main import COMMANDS, load

    names = _names()
    root = argparse.ArgumentParser(prog="cdzoo", description="Change detection in remote-sensing images.")
    root.add_argument("--version", action="store_true", help="Show the version.")
    groups: dict[str, Any] = {"": root.add_subparsers(dest="command")}
    for command in COMMANDS:
        group, _, name = command.rpartition(" ")
        if group not in groups:
            own = groups[""].add_parser(group, help=f"Commands for {group}")
            groups[group] = own.add_subparsers(dest=f"{group} command")
        function = load(command)
        parser = groups[group].add_parser(name, help=summary(function))
        parser.add_argument("--help-all", action="store_true", help="Show all options.")
        _add(parser, function, names)
    script = shtab.complete(root, shell)
    # Words that are no name of the list may be files.
    print(script.replace("complete -o bashdefault -F", "complete -o bashdefault -o default -F"))


def _add(parser: argparse.ArgumentParser, function: Callable[..., Any], names: Mapping[str, list[str]]) -> None:
    """Add the arguments of a command with what completes them."""
    imports: Any = parser.add_argument("--import", metavar="FILE.py", help="Import your own components first.")
    imports.complete = shtab.FILE
    if function.__name__ == "train":
        config: Any = parser.add_argument("--config", metavar="FILE", help="YAML file of options.")
        config.complete = shtab.FILE
    for option in (option for options in options_of(function).values() for option in options):
        known = [*option.choices] or names.get(option.name, [])
        settings: dict[str, Any] = {"help": option.help.replace("`", "").replace("%", "%%"), "choices": known or None}
        flags = [option.name] if option.positional else [flag_of(option.name)] + ["-o"] * (option.name == "output")
        if option.kind is bool and option.default is False:
            parser.add_argument(*flags, action="store_true", help=settings["help"])
            continue
        if option.kinds[0] is bool:
            settings["choices"] = ["true", "false"]
        added: Any = parser.add_argument(*flags, nargs=option.nargs, **settings)
        if not settings["choices"] and str in (option.item, *option.kinds):
            added.complete = shtab.DIRECTORY if option.name in (*FOLDERS, "out", "folder") else shtab.FILE


def _names() -> dict[str, list[str]]:
    """Return the known values of options whose values are names."""
    from cdzoo.data.datasets import list_datasets
    from cdzoo.data.protocols import list_protocols
    from cdzoo.recipes import list_recipes
    from cdzoo.tasks import list_tasks
    from cdzoo.weights import list_pretrained

    models = sorted([*MODELS.list(aliases=True), *list_pretrained()])
    components = {kind: registry.list(aliases=True) for kind, registry in COMPONENTS.items()}
    return {
        **dict.fromkeys(_MODELS, models),
        **components,
        "neck": ["none", *components["neck"]],
        "decoder": ["none", *components["decoder"]],
        "task": list_tasks(),
        **dict.fromkeys(("data", "name"), list_datasets()),
        "protocol": list_protocols(),
        "recipe": list_recipes(),
        "device": ["auto", "cpu", "cuda", "mps"],
    }

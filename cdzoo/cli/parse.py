"""Command line parsers made from the signature and docstring of a function."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import docstring_parser
from jsonargparse import ArgumentParser

SHORT = {"output": "-o"}
"""Short forms of options."""
RENAMED = {"model_name": "model"}
"""Options that are named differently from the field they set."""
_EPILOG = "Every command accepts --import FILE.py (repeatable), which imports your own components first."


def build_parser(
    name: str, function: Callable[..., Any], positional: tuple[str, ...] = (), config: bool = False
) -> ArgumentParser:
    """Return the parser of a command.

    Parameters without a default are required. Parameters annotated with a dataclass contribute an option for each of its fields.

    Args:
        name: Name of the command, for the usage line.
        function: The command.
        positional: Options that are positional arguments.
        config: Add `--config FILE.yaml` and `--print_config`.
    """
    text = docstring_parser.parse(inspect.getdoc(function) or "")
    parser = ArgumentParser(prog=f"cdzoo {name}", description=text.short_description, epilog=_EPILOG)
    if config:
        parser.add_argument("--config", action="config", help="YAML file with any of these options")
    hints = typing.get_type_hints(function)
    helps = _helps(function)
    own = {parameter.name for parameter in inspect.signature(function).parameters.values()} - set(_configs(hints))
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in own:
            is_flag = hints[parameter.name] is bool and parameter.default is False
            if is_flag:
                parser.add_argument(f"--{parameter.name}", action="store_true", help=helps.get(parameter.name, ""))
            else:
                _add(parser, parameter.name, hints[parameter.name], parameter.default, helps, parameter.name in positional)
    for name, kind in _configs(hints).items():
        group = parser.add_argument_group(name)
        field_hints, field_helps = typing.get_type_hints(kind), _helps(kind)
        for field in dataclasses.fields(kind):
            option = RENAMED.get(field.name, field.name)
            if option not in own:  # else the command itself sets the field
                default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
                _add(
                    group,
                    option,
                    field_hints[field.name],
                    default,
                    {option: field_helps.get(field.name, "")},
                    option in positional,
                )
    return parser


def call(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Call a command with the values of its parser."""
    configs = _configs(typing.get_type_hints(function))
    parameters = inspect.signature(function).parameters
    available = values.keys() - (parameters.keys() - configs.keys())  # the command's own parameters are not fields
    arguments: dict[str, Any] = {}
    for name in parameters:
        if name in configs:
            options = {field.name: RENAMED.get(field.name, field.name) for field in dataclasses.fields(configs[name])}
            arguments[name] = configs[name](**{field: values[option] for field, option in options.items() if option in available})
        else:
            arguments[name] = values[name]
    return function(**arguments)


def _add(parser: Any, name: str, kind: Any, default: Any, helps: Mapping[str, str], positional: bool) -> None:
    """Add one argument. Lists take several words."""
    required = default is inspect.Parameter.empty
    options: dict[str, Any] = {"help": " ".join(helps.get(name, "").split()), "type": kind}
    if not required:
        options["default"] = default
    inner = _without_none(kind)
    if typing.get_origin(inner) is list or inner == tuple[str, ...]:
        options |= {"type": typing.get_args(inner)[0], "nargs": "*" if positional and not required else "+"}
        options["default"] = list(default) if isinstance(default, tuple | list) else None
    if positional:
        if not required and "nargs" not in options:
            options["nargs"] = "?"
        parser.add_argument(name, **options)
    else:
        parser.add_argument(*([SHORT[name]] if name in SHORT else []), f"--{name}", required=required, **options)


def _configs(hints: Mapping[str, Any]) -> dict[str, Any]:
    return {name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind)}


def _helps(documented: Any) -> dict[str, str]:
    parsed = docstring_parser.parse(inspect.getdoc(documented) or "")
    return {param.arg_name: param.description or "" for param in parsed.params}


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = [one for one in typing.get_args(kind) if one is not type(None)]
        return inner[0] if len(inner) == 1 else kind
    return kind

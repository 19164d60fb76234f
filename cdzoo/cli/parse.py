"""Command line parsers made from the signatures and docstrings of functions and config classes."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import docstring_parser
from jsonargparse import ArgumentParser

from cdzoo.cli.config_files import PARSER_MODE, check_config_files
from cdzoo.cli.help import add_help
from cdzoo.cli.words import explain, flag_of, normalize
from cdzoo.errors import ConfigError
from cdzoo.names import check_known


class Config(NamedTuple):
    """Config class whose fields are options of a command.

    Attributes:
        module: Module of the class, imported by the commands that use it.
        title: Heading of the options in the help.
        renamed: Names of options that differ from the field they set.
    """

    module: str
    title: str
    renamed: Mapping[str, str] = types.MappingProxyType({})


CONFIGS = {
    "ModelOptions": Config("cdzoo.config", "model", {"model_name": "model"}),
    "DataCfg": Config("cdzoo.data.config", "data"),
    "TrainCfg": Config("cdzoo.engine.config", "training"),
    "SceneCfg": Config("cdzoo.scenes.config", "prediction", {"probability": "probability_type"}),
    "PolygonCfg": Config("cdzoo.scenes.config", "polygons"),
}
"""Classes that annotations of commands may name."""

_SHORT = {"output": ["-o"]}
_MAX_CHOICES = 40  # characters of the choices beside an option; longer lists are in its text
FILES = (
    *("output", "probability", "polygons", "report", "manifest", "html", "latency", "sheet", "per_image", "robustness"),
    *("checkpoint_path", "labeled"),
)
FOLDERS = ("pictures", "resume", "root", "cache_dir", "val", "unlabeled")
"""Options whose values are files and folders."""
_METAVARS = {int: "INT", float: "FLOAT", bool: "true|false", dict: "JSON"}
_EPILOG = "Every command accepts --import FILE.py (repeatable), which imports your own components first."


class Option(NamedTuple):
    """One argument: a parameter of a command, or a field of one of its config classes."""

    name: str
    kind: Any
    default: Any
    help: str
    positional: bool = False

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty

    @property
    def kinds(self) -> tuple[Any, ...]:
        """Accepted types, without None."""
        return tuple(kind for kind in _alternatives(self.kind) if kind is not type(None))

    @property
    def item(self) -> Any:
        """Type of the items of a list or tuple; None for other types."""
        several = len(self.kinds) == 1 and typing.get_origin(self.kinds[0]) in (list, tuple)
        return typing.get_args(self.kinds[0])[0] if several else None

    @property
    def nargs(self) -> int | str | None:
        """Number of words on the command line, as argparse takes it; None for one."""
        optional = self.positional and not self.required
        if self.item:
            length = len(typing.get_args(self.kinds[0]))
            fixed = typing.get_origin(self.kinds[0]) is tuple and typing.get_args(self.kinds[0])[1] is not ...
            return length if fixed else "*" if optional else "+"
        return "?" if optional or self.kinds[0] is bool else None

    @property
    def choices(self) -> tuple[str, ...]:
        """Values of a literal; empty for other types."""
        for kind in _alternatives(self.item or self.kind):
            if typing.get_origin(kind) is Literal:
                return typing.get_args(kind)
        return ()


def build_parser(name: str, function: Callable[..., Any], config: bool = False) -> ArgumentParser:
    """Return the parser of a command.

    Parameters before `*` are positional arguments, the others options, required without a default. A parameter annotated with the
    name of a config class in `CONFIGS` adds an option for each field that is not a parameter of the command itself.

    Args:
        name: Name of the command.
        function: The command.
        config: Add `--config FILE.yaml` and `--print-config`, and mention key=value.
    """
    groups = options_of(function)
    own = groups.pop("")
    first = [option.name.upper() if option.required else f"[{option.name.upper()}]" for option in own if option.positional]
    needed = [option for options in (own, *groups.values()) for option in options if option.required and not option.positional]
    words = [f"{flag_of(option.name)} {_metavar(option)}" for option in needed]
    parser = ArgumentParser(
        prog=f"cdzoo {name}",
        usage=" ".join(["%(prog)s", *first, *words, "[OPTIONS]", *(["[KEY=VALUE ...]"] if config else [])]),
        description=inspect.getdoc(function).partition("\n\n")[0],  # type: ignore[union-attr]  # every command has one
        epilog=_EPILOG,
        formatter_class=functools.partial(argparse.HelpFormatter, max_help_position=30),  # type: ignore[arg-type]  # called only
        exit_on_error=False,
        parser_mode=PARSER_MODE,
        allow_abbrev=False,
        print_config="--print-%s",
        add_help=False,
    )
    add_help(parser, name)
    if config:
        file = parser.add_argument("--config", action="config", metavar="FILE", help="YAML file of options (repeatable).")
        assert isinstance(file, argparse.Action)
        shown = next(action for action in parser._actions if "--print-config" in action.option_strings)
        shown.metavar, shown.help = "", "Print the options as a config file, and exit."
    for option in own:
        _add(parser, option)
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for option in options:
            _add(group, option, flag=False)
    return parser


def options_of(function: Callable[..., Any]) -> dict[str, list[Option]]:
    """Return the arguments of a command by the title of their group; that of its own parameters is empty."""
    own = _parameters(function)
    return {"": own, **{CONFIGS[cls.__name__].title: [*_fields(cls, own)] for cls in _configs(function).values()}}


def parse(parser: ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """Return the values of all arguments.

    Raises:
        ConfigError: An option is unknown (the nearest one is suggested) or missing, a value has the wrong type, or a config
            file is not a YAML file of options.
    """
    actions = {name: action for action in parser._actions for name in action.option_strings}
    words = normalize(words, actions)
    check_config_files(words)
    try:
        return dict(parser.parse_args(words).as_dict())
    except argparse.ArgumentError as error:
        raise ConfigError(explain(str(error.message), actions, words)) from None
    except OverflowError as error:  # an integer of hundreds of digits as a float
        raise ConfigError(f"a value is out of range ({error})") from None


def call(function: Callable[..., Any], values: Mapping[str, Any]) -> int | None:
    """Call a command with the values of its parser.

    Raises:
        ConfigError: A value is not one of the choices of an option, or a config class rejects it.
    """
    arguments: dict[str, Any] = {}
    for option in _parameters(function):
        arguments[option.name] = values[option.name]
        label = option.name.upper() if option.positional else flag_of(option.name)
        for value in arguments[option.name] or () if option.item else [arguments[option.name]]:
            if option.choices and value is not None:
                check_known(f"{label}: unknown value", value, option.choices)
    for name, cls in _configs(function).items():
        renamed = CONFIGS[cls.__name__].renamed
        arguments[name] = cls(**{one.name: values[renamed.get(one.name, one.name)] for one in dataclasses.fields(cls)})
    return function(**arguments)


def summary(function: Callable[..., Any]) -> str:
    """Return the first sentence of the docstring of a command."""
    return (inspect.getdoc(function) or "").partition(". ")[0].partition("\n")[0].rstrip(".")


def _configs(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the config classes among the annotations of a command, by parameter."""
    named = {name: kind for name, kind in function.__annotations__.items() if kind in CONFIGS}
    return {name: getattr(importlib.import_module(CONFIGS[kind].module), kind) for name, kind in named.items()}


def _parameters(function: Callable[..., Any]) -> list[Option]:
    helps = _helps(function)
    kinds = typing.get_type_hints(function, localns=dict.fromkeys(CONFIGS, object))
    parameters = [one for one in inspect.signature(function).parameters.values() if one.annotation not in CONFIGS]
    return [Option(p.name, kinds[p.name], p.default, helps.get(p.name, ""), p.kind is not p.KEYWORD_ONLY) for p in parameters]


def _fields(cls: Any, own: Sequence[Option]) -> Iterator[Option]:
    """Yield the options of a config class that are not parameters of the command."""
    helps, kinds, taken = _helps(cls), typing.get_type_hints(cls), {option.name for option in own}
    for one in dataclasses.fields(cls):
        name = CONFIGS[cls.__name__].renamed.get(one.name, one.name)
        if name not in taken:
            default = inspect.Parameter.empty if one.default is dataclasses.MISSING else one.default
            yield Option(name, kinds[one.name], default, helps.get(one.name, ""))


def _helps(documented: Any) -> dict[str, str]:
    parameters = docstring_parser.parse(inspect.getdoc(documented) or "").params
    return {one.arg_name: " ".join((one.description or "").split()) for one in parameters}


def _add(parser: Any, option: Option, flag: bool = True) -> None:
    """Add an argument. With `flag`, a switch that is off by default takes no value."""
    text = option.help.replace("`", "").replace("%", "%%")
    if option.choices and not _are_short(option) and not all(choice in text for choice in option.choices):
        text = f"{text.rstrip('.')}: {', '.join(option.choices)}."
    if option.kind is bool and option.default is False and flag:
        parser.add_argument(flag_of(option.name), dest=option.name, action="store_true", help=text)
        return
    if option.default not in (inspect.Parameter.empty, None, False, "", "default", (), []):
        values = option.default if isinstance(option.default, list | tuple) else [option.default]
        default = " ".join(value if isinstance(value, str) else json.dumps(value) for value in values)
        text = f"{text.rstrip('.')} (default: {default})"
    options: dict[str, Any] = {"type": _checked(option.item or option.kind), "help": text, "metavar": _metavar(option)}
    if not option.required:
        options["default"] = list(option.default) if option.item and option.default is not None else option.default
    if option.nargs is not None:
        options["nargs"] = option.nargs
    if option.kinds[0] is bool:
        options["const"] = True
    names = [option.name]
    if not option.positional:
        names = [*_SHORT.get(option.name, []), flag_of(option.name)]
        options |= {"dest": option.name, "required": option.required}
    parser.add_argument(*names, **options)


def _metavar(option: Option) -> str:
    if _are_short(option):
        return "{" + ",".join(option.choices) + "}"
    kinds = (option.item,) if option.item else option.kinds
    place = "FILE" if option.name in FILES else "FOLDER" if option.name in FOLDERS else ""
    name = option.name.upper() if option.positional else place or option.name.upper().rpartition("_")[2]
    return name if option.positional or len(kinds) > 1 else _METAVARS.get(typing.get_origin(kinds[0]) or kinds[0], name)


def _are_short(option: Option) -> bool:
    """Return whether the choices of an option are shown beside it, and not in its text."""
    alone = not option.item and len(option.kinds) == 1
    return bool(option.choices) and alone and len(",".join(option.choices)) <= _MAX_CHOICES


def _checked(kind: Any) -> Any:
    """Return the type that the parser checks. Choices are checked later, where the message suggests the nearest one."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(_checked, typing.get_args(kind)))]  # noqa: UP007  # made at run time
    return str if typing.get_origin(kind) is Literal else kind


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)

"""`config_dataclass`: frozen dataclasses whose fields are validated by pydantic."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import reprlib
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import dataclass_transform

from cdzoo.constants import MAX_SCALE, MIN_SCALE
from cdzoo.errors import CdzooError, ConfigError
from cdzoo.names import suggest

T = TypeVar("T")
Scale = Annotated[float, Field(ge=MIN_SCALE, le=MAX_SCALE)]
"""Factor by which images are enlarged for a model."""

MAX_INTEGER = 65_536
MAX_ITEMS = 64
"""Limits of the arguments of components: larger numbers and longer lists describe no network that can be built."""

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def config_dataclass(cls: type[T]) -> type[T]:
    """Turn a class into a frozen dataclass that validates types, ranges and finiteness of its fields.

    Lists become tuples, as JSON and YAML have no tuples; nothing else is converted.

    Raises:
        ConfigError: On construction, if a field is unknown (the nearest name is suggested), missing or invalid.
    """
    made: Any = pydantic_dataclass(frozen=True, config=_STRICT)(cls)
    construct = made.__init__
    names = [field.name for field in dataclasses.fields(made) if field.init]

    @functools.wraps(construct)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in names:
                raise ConfigError(f"{cls.__name__} has no field '{name}'.{suggest(name, names)} Fields: {', '.join(names)}")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in kwargs.items()}
        try:
            construct(self, *args, **values)
        except ValidationError as error:
            raise _config_error(cls.__name__, names, error) from None

    made.__init__ = __init__
    return made


def check_argument(label: str, kind: Any, value: Any) -> None:
    """Raise unless a value from JSON has the annotated type of an argument. Types that JSON cannot express are not checked.

    Raises:
        ConfigError: The value has another type; the message starts with `label`.
    """
    try:
        text = json.dumps(value)
        adapter = _adapter(kind)
    except (TypeError, ValueError, PydanticUserError):
        return
    try:
        adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{label} {_plain_message(first)}, got {reprlib.repr(value)}") from None


def check_values(label: str, value: Any, depth: int = 0) -> None:
    """Raise unless all numbers in nested lists and mappings are finite and of a reasonable size.

    Raises:
        ConfigError: A number is not finite or too large, a list is too long, or the nesting too deep.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{label} must be finite, got {value}")
    if isinstance(value, int | float) and abs(value) > MAX_INTEGER:
        raise ConfigError(f"{label} must be at most {MAX_INTEGER:,}, got {reprlib.repr(value)}")
    if isinstance(value, list | tuple | dict):
        if len(value) > MAX_ITEMS or depth > 8:
            raise ConfigError(f"{label} must have at most {MAX_ITEMS} entries and 8 levels")
        for item in value.values() if isinstance(value, dict) else value:
            check_values(label, item, depth + 1)


@functools.lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


def _config_error(name: str, names: list[str], error: ValidationError) -> CdzooError:
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, CdzooError):  # raised by __post_init__, which pydantic wraps
        return cause
    location = first["loc"][0] if first["loc"] else name
    field = names[location] if isinstance(location, int) else location  # an index for a positional argument
    given = "" if first["type"] in ("missing", "missing_argument") else f", got {reprlib.repr(first['input'])}"
    known = re.findall(r"'([^']*)'", first["ctx"]["expected"]) if first["type"] == "literal_error" else []
    return ConfigError(f"{field} {_plain_message(first)}{given}.{suggest(str(first['input']), known)}".rstrip("."))


def _plain_message(error: Any) -> str:
    return str(error["msg"]).replace("Input should be", "must be").replace("Field required", "is missing")

"""`config_dataclass`: frozen dataclasses whose fields are validated by pydantic."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import dataclass_transform

from cdzoo.errors import CdzooError, ConfigError
from cdzoo.names import suggest

T = TypeVar("T")

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


def _config_error(name: str, names: list[str], error: ValidationError) -> CdzooError:
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, CdzooError):  # raised by __post_init__, which pydantic wraps
        return cause
    location = first["loc"][0] if first["loc"] else name
    field = names[location] if isinstance(location, int) else location  # an index for a positional argument
    message = str(first["msg"]).replace("Input should be", "must be").replace("Field required", "is missing")
    given = "" if first["type"] in ("missing", "missing_argument") else f", got {first['input']!r}"
    return ConfigError(f"{field} {message}{given}")

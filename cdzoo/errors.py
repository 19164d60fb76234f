"""Exceptions raised for invalid input, and `require` for optional dependencies.

All of them derive from `CdzooError`, so that the command line can tell invalid input (exit code 2, one message) from a bug
(traceback).
"""

from __future__ import annotations

import importlib
from types import ModuleType


class CdzooError(Exception):
    """Base class of all errors caused by invalid input."""


class UnknownNameError(CdzooError, LookupError):
    """A name is not registered."""


class ConfigError(CdzooError, ValueError):
    """The description of a model, a component or a run is invalid."""


class ChannelMismatchError(ConfigError):
    """Two consecutive components disagree on channels or strides."""


class InputError(CdzooError, ValueError):
    """A file, array or tensor passed by the user is invalid."""


class WeightsError(CdzooError, RuntimeError):
    """Weights are missing, damaged, or do not match the model."""


class MissingDependencyError(CdzooError, ImportError):
    """An optional dependency is not installed."""


class TrainingError(CdzooError, RuntimeError):
    """Training was interrupted or cannot continue."""


class TrainingStopped(TrainingError):
    """Training was stopped by a signal and can be resumed; the command line exits with 75."""


def printable(text: object) -> str:
    """Return a text for a terminal, with control characters (escape sequences) and unpaired surrogates escaped."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in str(text))


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: Module to import, such as `"rasterio.warp"`.
        extra: Extra of the package that installs it: `pip install 'cdzoo[extra]'`.
        purpose: What it is needed for; the first words of the error message.

    Raises:
        MissingDependencyError: The module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(f"{purpose} requires {package}: pip install 'cdzoo[{extra}]' ({error})") from error

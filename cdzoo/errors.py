"""Exceptions raised for invalid input, and `require` for optional dependencies.

All of them derive from `CdzooError`, so that the command line can tell invalid input (exit code 2, one message) from a bug
(traceback).
"""

from __future__ import annotations

import importlib
import re
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


def mask_url(url: str) -> str:
    """Return an address without what may be a secret: name and password, and the values of its query.

    >>> mask_url("https://me:secret@example.com/set.zip?token=secret&page=2")
    'https://***@example.com/set.zip?token=***&page=***'
    """
    start, mark, tail = re.fullmatch(r"([^?#]*)([?#]?)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]
    scheme, slashes, rest = start.rpartition("://") if "://" in start else ("", "", start)
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        rest = f"***@{authority.rpartition('@')[2]}{slash}{path}"
    elif "@" in path and re.search(r":(?!\d*$)", authority):  # a password with a slash, where the host should end
        rest = f"***@{rest.rpartition('@')[2]}"
    if "=" in tail or (mark == "?" and tail):
        tail = re.sub(r"=[^&;#]*", "=***", tail) if "=" in tail else "***"
    return f"{scheme}{slashes}{rest}{mark}{tail}"


def mask_urls(text: object) -> str:
    """Return a text with all addresses in it as `mask_url` returns them."""
    # The last character is no punctuation of the sentence.
    return re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s<>]*[^\s<>.,:;)\]'\"]", lambda found: mask_url(found[0]), str(text))


EXTRAS = {
    **dict.fromkeys(("lightning", "tqdm"), "train"),
    **dict.fromkeys(("rasterio", "geopandas", "shapely", "pyproj", "pyogrio", "pyarrow"), "geo"),
    **dict.fromkeys(("fvcore", "matplotlib"), "tools"),
    "tensorboard": "log",
    **dict.fromkeys(("onnx", "onnxscript", "onnxruntime"), "export"),
    "wandb": "wandb",
    "mlflow": "mlflow",
    "gradio": "app",
    "pystac": "stac",
    "ray": "geo,ray",
    "mamba_ssm": "mamba",
}
"""The extra of the package that installs each optional dependency."""


def missing_extra(error: ModuleNotFoundError) -> MissingDependencyError | None:
    """Return the error to show for an import of an optional dependency that failed; None for other modules."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return MissingDependencyError(f"this requires {package}: pip install 'cdzoo[{EXTRAS[package]}]'")


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

"""Errors that a user can act on.

Every one of them is a `CdzooError`, so that the command line can tell a mistake in the input (exit code 2, one clear message)
from a defect in the program (traceback).
"""


class CdzooError(Exception):
    """Base of all errors that bad input can cause."""


class UnknownNameError(CdzooError, LookupError):
    """A name is not registered."""


class ConfigError(CdzooError, ValueError):
    """A model, part or run was described in a way that cannot be built."""


class ChannelMismatchError(ConfigError):
    """Two neighbouring parts do not agree on channels or strides."""


class InputError(CdzooError, ValueError):
    """A file or tensor handed in by the user cannot be used."""


class WeightsError(CdzooError, RuntimeError):
    """Weights are missing, or do not fit the model."""


class MissingDependencyError(CdzooError, ImportError):
    """An optional package is needed for what was asked."""


class TrainingError(CdzooError, RuntimeError):
    """Training cannot go on."""

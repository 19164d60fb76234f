"""Named data sets, one file each: layout, splits, protocols, citation and source.

A module of this package that defines `DATASET` is a data set; there is no list to extend.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from cdzoo.data.datasets.info import DatasetInfo
from cdzoo.errors import UnknownNameError
from cdzoo.names import natural_key, suggest

__all__ = ["DatasetInfo", "all_datasets", "dataset_info", "list_datasets"]


@functools.cache
def all_datasets() -> dict[str, DatasetInfo]:
    """Return all data sets by name, in natural order."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = {module.DATASET.name: module.DATASET for module in modules if hasattr(module, "DATASET")}
    return {name: found[name] for name in sorted(found, key=natural_key)}


def list_datasets() -> list[str]:
    """Return the names of the data sets."""
    return list(all_datasets())


def dataset_info(name: str) -> DatasetInfo:
    """Return the data set called `name`.

    Raises:
        UnknownNameError: There is no such data set; the message suggests the nearest name.
    """
    known = all_datasets()
    if name not in known:
        raise UnknownNameError(
            f"unknown data set '{name}'.{suggest(name, known)} Data sets: {', '.join(known)}. A folder of pairs needs no name: "
            f"pass its path"
        )
    return known[name]

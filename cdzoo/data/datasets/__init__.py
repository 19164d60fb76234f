"""Named data sets, one per module of this package.

Each module defines `DATASET`, a `DatasetInfo`, and is discovered automatically. Other packages and scripts add data sets with
`DATASETS[name] = DatasetInfo(...)`.
"""

from __future__ import annotations

import importlib
import pkgutil

from cdzoo.data.info import DatasetInfo
from cdzoo.data.layout import LAYOUTS, Layout
from cdzoo.errors import UnknownNameError
from cdzoo.names import natural_key, suggest

__all__ = ["DATASETS", "DatasetInfo", "dataset_info", "known_layouts", "list_datasets"]


def _discover() -> dict[str, DatasetInfo]:
    modules = sorted((module.name for module in pkgutil.iter_modules(__path__)), key=natural_key)
    infos = (importlib.import_module(f"{__name__}.{module}").DATASET for module in modules)
    return {info.name: info for info in infos}


DATASETS: dict[str, DatasetInfo] = _discover()
"""Data sets by name."""


def list_datasets() -> list[str]:
    """Return the names of the data sets in natural order."""
    return sorted(DATASETS, key=natural_key)


def dataset_info(name: str) -> DatasetInfo:
    """Return the description of a named data set.

    Raises:
        UnknownNameError: There is no such data set. The message suggests the nearest name and lists all of them.
    """
    if name not in DATASETS:
        raise UnknownNameError(
            f"there is no data set '{name}'.{suggest(name, DATASETS)} Known: {', '.join(list_datasets())}. "
            f"A folder of pairs needs no name: give its path"
        )
    return DATASETS[name]


def known_layouts() -> tuple[Layout, ...]:
    """Return the folder layouts shared by several data sets, followed by those of single data sets."""
    return (*LAYOUTS, *(info.folders for info in DATASETS.values() if info.folders))

"""How parts get into the registries: built-in packages, installed plugins, and a user's own file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from cdzoo.errors import InputError

ENTRY_POINT_GROUP = "cdzoo.plugins"
_BUILT_IN = ("backbones", "necks", "fusion", "decoders", "heads", "models")

_lock = threading.RLock()
_discovered = False


def discover() -> None:
    """Import everything that registers parts, once per process.

    A plugin that fails to import is reported as a warning that names it: one broken plugin must not take the zoo down.
    """
    global _discovered
    with _lock:
        if _discovered:
            return
        _discovered = True  # set first: the modules imported below register, which leads back here
        try:
            for package in _BUILT_IN:
                importlib.import_module(f"cdzoo.{package}")
        except BaseException:
            _discovered = False
            raise
        for point in entry_points(group=ENTRY_POINT_GROUP):
            try:
                point.load()
            except Exception as error:  # whatever a third party's module raises
                warnings.warn(
                    f"cdzoo plugin '{point.name}' ({point.value}) failed to import and is left out: "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )


def import_file(path: str | Path) -> ModuleType:
    """Import a user's Python file so that the parts it registers become available.

    Args:
        path: The file, for example `my_fusion.py`.

    Raises:
        InputError: The file does not exist, is no `.py` file, or raises when it is imported.
    """
    file = Path(path).resolve()
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"--import {path}: expected an existing Python file (my_fusion.py)")
    # Named by its path, so that two files of one name can both be imported and one file is imported once.
    name = f"cdzoo_import_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"--import {path}: {type(error).__name__}: {error}") from error
    return module

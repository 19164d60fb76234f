"""Python files with components of one's own: import, and copies that a run or model folder keeps of them.

A kept copy is code. It runs without asking only if the same content was imported on this account before (`--import`), which is
remembered by hash; other copies, such as those of a downloaded folder, run only if the user passes them to `--import`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cdzoo.errors import InputError
from cdzoo.io.files import file_sha256, replace_atomically, write_json

KEPT_FOLDER = "imports"
"""Subfolder of a run or model folder with copies of the imported files."""
_INDEX = "index.json"


@dataclass(frozen=True)
class ImportedFile:
    """A file that was imported.

    Attributes:
        path: Absolute path.
        sha256: Hash of its content.
        module: The module.
        kept: Whether it is the copy in a folder of a run, rather than a file that the user named.
        code: Its content.
    """

    path: Path
    sha256: str
    module: ModuleType
    kept: bool
    code: bytes


_imported: dict[str, ImportedFile] = {}


def import_file(path: str | os.PathLike[str]) -> ModuleType:
    """Import a Python file so that the components it registers become available.

    Equal content is imported once, whatever the path.

    Args:
        path: Path of the file, such as `my_fusion.py`.

    Raises:
        InputError: The file does not exist, is not a `.py` file, or exits or raises an exception when imported.
    """
    return _import(Path(path), kept=False).module


def imported_files() -> list[Path]:
    """Return the paths of the files imported in this process, in order, to import them in another one."""
    return [one.path for one in _imported.values()]


def imported_hashes() -> list[str]:
    """Return the hashes of the files imported in this process, sorted."""
    return sorted(_imported)


def imported_modules() -> set[str]:
    """Return the names of the imported modules."""
    return {one.module.__name__ for one in _imported.values()}


def keep_imports(folder: str | os.PathLike[str]) -> None:
    """Copy the imported files to `folder/imports`, and remember their hashes as trusted by this user."""
    files = list(_imported.values())
    if not files:
        return
    target = Path(folder) / KEPT_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    entries: dict[str, str] = {}
    for one in files:
        stem = one.path.stem
        name = one.path.name if one.path.name not in entries else f"{stem}_{one.sha256[:8]}.py"
        entries[name] = one.sha256
        if not (target / name).is_file() or file_sha256(target / name) != one.sha256:
            with replace_atomically(target / name) as temporary:
                temporary.write_bytes(one.code)
    write_json(target / _INDEX, entries)
    _trust(one.sha256 for one in files)


def import_kept(folder: str | os.PathLike[str]) -> None:
    """Import the files that a run or model folder keeps. A file of the same name passed to `--import` takes precedence.

    Raises:
        InputError: A file is missing, was changed, or is not known to be trusted by this user; the message names it.
    """
    source = Path(folder) / KEPT_FOLDER
    if not (source / _INDEX).is_file():
        return
    for name, expected in _read_index(source / _INDEX).items():
        file = source / name
        if not file.is_file():
            raise InputError(f"{file}: missing; the model needs this code. Pass the original with --import FILE.py")
        code = file.read_bytes()
        found = hashlib.sha256(code).hexdigest()
        if found in _imported:
            continue
        same_name = next((one for one in _imported.values() if one.path.name == name), None)
        if same_name is not None and not same_name.kept:
            warnings.warn(f"{folder} was written with another version of {name}, kept in {file}", stacklevel=2)
            continue
        if same_name is not None:
            raise InputError(f"{file} and {same_name.path} are two versions of the same code: use one of these models at a time")
        if found != expected or found not in _trusted():
            why = "has changed since" if found != expected else "was never imported by you"
            raise InputError(
                f"{folder} needs code of its own, which {why}: read {file}, and if you trust it, pass --import {file}"
            )
        _import(file, kept=True)


def _import(path: Path, kept: bool, code: bytes | None = None) -> ImportedFile:
    file = path.resolve()
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"--import {path}: expected an existing Python file (my_fusion.py)")
    code = file.read_bytes() if code is None else code
    sha256 = hashlib.sha256(code).hexdigest()
    if sha256 in _imported:
        return _imported[sha256]
    # The hash of the path tells files of equal names apart; an edited file replaces its former entries.
    name = f"cdzoo_import_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Not the loader, which would run bytecode that lies in __pycache__ instead of the code that was hashed.
        exec(compile(code, str(file), "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() included, which would end the command with the exit code of the file
        del sys.modules[name]
        raise InputError(f"--import {path}: {type(error).__name__}: {error}") from error
    for key in [key for key, one in _imported.items() if one.path == file]:
        del _imported[key]
    _imported[sha256] = ImportedFile(file, sha256, module, kept, code)
    return _imported[sha256]


def _read_index(file: Path) -> dict[str, str]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not readable ({error})") from error
    plain = isinstance(entries, dict) and all(isinstance(value, str) for value in entries.values())
    if not plain or any(Path(name).name != name or not name.endswith(".py") for name in entries):
        raise InputError(f"{file}: must map names of Python files in this folder to their sha256")
    return entries


def _trust_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "cdzoo" / "imported"


def _trusted() -> set[str]:
    try:
        return set(_trust_file().read_text(encoding="ascii").split())
    except (OSError, ValueError, RuntimeError):  # nothing imported yet; no home
        return set()


def _trust(hashes: Iterable[str]) -> None:
    new = set(hashes) - _trusted()
    if not new:
        return
    try:
        file = _trust_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="ascii") as stream:
            stream.write("".join(f"{one}\n" for one in sorted(new)))
    except (OSError, RuntimeError):  # a read-only or missing home: the user will be asked
        return

"""Atomic writes, hashes, and validation of output paths."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdzoo.errors import InputError, WeightsError

PathLike = str | os.PathLike[str]


def output_path(path: PathLike, option: str = "", suffixes: Sequence[str] = (), purpose: str = "the format is unknown") -> Path:
    """Return the path of an output file after validating its suffix and its folder.

    Args:
        path: File to write.
        option: Command-line option for the error message, such as `"-o"`.
        suffixes: Allowed suffixes in lower case; any suffix by default.
        purpose: Description of the file for the error message about its suffix.

    Raises:
        InputError: The suffix is not allowed, or the folder of the file does not exist.
    """
    file = Path(path)
    if suffixes and file.suffix.lower() not in suffixes:
        raise InputError(f"{path}: {purpose}; use one of {', '.join(suffixes)}")
    try:
        found = file.resolve().parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # a circular link, a name that is too long or has a NUL
        raise InputError(f"{option} {path!r}: not a usable path ({error})".lstrip()) from error
    if not found:
        raise InputError(f"{option} {path}: there is no folder {file.parent}; create it first".lstrip())
    return file


def check_new_folder(path: PathLike, hint: str = "remove it, or choose another folder") -> Path:
    """Return the path of an output folder after checking that it does not exist.

    Args:
        path: Folder to create.
        hint: Advice at the end of the error message.

    Raises:
        InputError: The path exists.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} already exists; {hint}")
    return Path(path)


def beside(file: Path, ending: str) -> Path:
    """Return the path of the hidden file or folder `.NAME.ENDING` next to a file; of a long name, its beginning and its hash."""
    name = file.name
    if len(name) > 60:  # a name has at most 255 bytes, and a character up to 4
        name = f"{name[:40]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return file.with_name(f".{name}.{ending}")


def temporary_path(file: Path) -> Path:
    """Return the path under which this process writes a file before it is renamed."""
    return beside(file, f"{os.getpid()}.part{file.suffix}")


def remove_temporary(file: Path) -> None:
    """Remove what processes that were killed left of a file, see `temporary_path`; none may write it now."""
    pattern = beside(file, f"\0.part{file.suffix}").name
    for left in file.parent.glob(glob.escape(pattern).replace("\0", "[0-9]*")):
        left.unlink(missing_ok=True)


@contextmanager
def replace_atomically(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `path` when the block succeeds and removed when it raises.

    The temporary file has the same folder and the same suffix, from which image writers infer the format. It is on disk before it
    is renamed, so that a power failure leaves the old file or the whole new one.
    """
    final = Path(path)
    temporary = temporary_path(final)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, final)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # the message is to name the file that was asked for
            error.filename, error.filename2 = str(final), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: PathLike, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        InputError: The folder of the file does not exist.
    """
    with replace_atomically(output_path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, data: Any) -> None:
    """Write a JSON file atomically. `data` may contain dataclasses and objects with `to_dict`; NaN raises `ValueError`."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else dataclasses.asdict(value)


def file_sha256(path: str | Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(file: Path, expected: str) -> None:
    """Check the sha256 of a weights file.

    Raises:
        WeightsError: The sha256 differs from the expected one.
    """
    found = file_sha256(file)
    if found != expected:
        raise WeightsError(
            f"{file} is damaged or not the weights that were published: its sha256 is {found}, expected {expected}. "
            "It was not used; get it again with: cdzoo pull --force"
        )

"""Files appear complete or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdzoo.errors import InputError, WeightsError


@contextmanager
def replace_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `path`; it becomes `path` when the block ends well and is removed when it does not.

    The temporary name keeps the suffix, which image writers look at.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        yield temporary
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file as a whole.

    Raises:
        InputError: Its folder is missing.
    """
    if not Path(path).resolve().parent.is_dir():
        raise InputError(f"{path}: there is no folder {Path(path).parent}; make it first")
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_sha256(path: str | Path) -> str:
    """Return the sha256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def write_json(path: str | Path, data: Any) -> None:
    """Write JSON atomically; dataclasses and objects with a method `to_dict` may occur in `data`."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, allow_nan=False, default=_plain) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _digest(file: Any) -> str:  # Python 3.10
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def check_sha256(file: Path, expected: str) -> None:
    """Raise unless a file is the one that is meant.

    Raises:
        WeightsError: Its hash is another one.
    """
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise WeightsError(
            f"{file} is damaged or not the weights that were published: its sha256 is {digest.hexdigest()}, expected {expected}. "
            "It was not used; get it again with: cdzoo pull --force"
        )

"""Files appear complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdzoo.errors import InputError


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

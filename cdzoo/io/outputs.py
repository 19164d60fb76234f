"""Outputs: checked before the work starts, and written by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike, beside, output_path, temporary_path


class BusyError(InputError):
    """Another process writes an output."""


def check_outputs(outputs: Mapping[str, PathLike | None], inputs: Iterable[PathLike] = ()) -> None:
    """Check that files can be written, and that none of them is an input or another output, whatever the spelling of its path.

    Args:
        outputs: Files to write by the option that names them, such as `"-o"`; None is skipped.
        inputs: Files that are read.

    Raises:
        InputError: An output is an input, another output or a folder, or cannot be written in its folder.
    """
    taken = {file_identity(path): f"the input {path}" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        file = output_path(path, option)
        _check_writable(option, file)
        for name in (file, lock_file(file)):
            other = taken.setdefault(file_identity(name), f"the output of {option}")
            if other != f"the output of {option}":
                raise InputError(f"{option} {name}: is {other} as well; choose another file")


def file_identity(path: PathLike) -> tuple[int, int] | str:
    """Return what two paths of one file share, also through links; for a new file, its resolved path."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.normcase(os.path.realpath(path))
    except ValueError:  # a NUL, which no file has
        return os.fspath(path)
    return found.st_dev, found.st_ino


def lock_file(path: PathLike) -> Path:
    """Return the lock file of an output file, next to it, or of the folder of a run, in it."""
    output = Path(path)
    return output / ".lock" if output.is_dir() else beside(output, "lock")


@contextmanager
def exclusive(path: PathLike) -> Iterator[None]:
    """Hold the lock of an output file or the folder of a run, see `lock_file`.

    A thread that holds the lock may take it again. The system releases the lock of a process that ends, however it ends. File
    systems without locks are not protected.

    Raises:
        BusyError: Another process holds the lock.
        InputError: The lock file cannot be written.
    """
    file = lock_file(os.path.realpath(path))
    lock = FileLock(file, timeout=0, is_singleton=True)
    busy = f"{path}: another run writes here; wait until it ends, or choose another output"
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(busy) from None
    except NotImplementedError:  # what filelock raises on such file systems
        yield
        return
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        if not file.exists():  # removed by a run that ended between the opening of the file and its lock
            raise BusyError(busy)
        yield
    finally:
        if lock.lock_counter == 1:
            file.unlink(missing_ok=True)
        lock.release()


def _check_writable(option: str, file: Path) -> None:
    if os.path.isdir(file):  # unlike Path.is_dir, False for a name that is too long
        raise InputError(f"{option} {file}: is a folder; name a file in it")
    temporary = temporary_path(file)
    try:
        temporary.open("xb").close()
        temporary.unlink()
        with suppress(FileNotFoundError):
            file.lstat()  # fails for a name that is too long
    except OSError as error:
        raise InputError(f"{option} {file}: cannot be written ({error.strerror})") from error

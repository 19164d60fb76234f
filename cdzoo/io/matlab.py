"""Arrays in MATLAB files, read with scipy."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import CdzooError, InputError, require
from cdzoo.io.inputs import existing_file

SUFFIX = ".mat"
_KINDS = {"logical": "bool", "single": "float32", "double": "float64"}
_KINDS |= {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
"""Type of the values of each class of arrays of numbers."""
_HINTS = {"sparse": ": full(X)", "complex": ": abs(X), or real(X) and imag(X) as bands"}
_MAX_ARRAY = 4 << 30  # bytes of an array that is read at once
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_START = 512  # of the content of a file of MATLAB 7.3
_HEADER = 128  # bytes before the variables of a file of MATLAB 5 to 7.2
_START = 4096  # bytes of a variable in which its name and the type of its numbers are
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_STORED = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13))
"""Types of elements that are numbers: integers of 8 to 32 bits, floating point, integers of 64 bits."""
_NUMBERS = range(6, 16)  # classes of arrays of numbers


@dataclass(frozen=True)
class MatlabArray:
    """Variable of a MATLAB file, as the file declares it.

    Attributes:
        file: The file.
        variable: Name of the variable.
        shape: Its shape; a vector has two sides, of which one is 1.
        kind: Its class in MATLAB, such as `"double"`, `"logical"` or `"struct"`.
    """

    file: Path
    variable: str
    shape: tuple[int, ...]
    kind: str

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))} {self.kind}"

    @property
    def title(self) -> str:
        """File and variable, for messages."""
        return f"{self.file}: {self.variable}"

    @property
    def may_be_image(self) -> bool:
        """Whether these are numbers in rows and columns."""
        return self.kind in _KINDS and len(self.shape) in (2, 3) and min(self.shape[:2]) > 1

    def check(self) -> None:
        """Check that these are real numbers that can be read.

        Raises:
            InputError: They are not, or more than are read at once.
        """
        if self.kind not in _KINDS:
            hint = _HINTS.get(self.kind.partition(" ")[0], "")
            raise InputError(f"{self.title}: a {self.kind} array; save one of numbers (double, single, integer, logical){hint}")
        if (size := math.prod(self.shape) * np.dtype(_KINDS[self.kind]).itemsize) > _MAX_ARRAY:
            raise InputError(
                f"{self.title}: {self}, which is {size >> 20:,} MB; arrays of up to {_MAX_ARRAY >> 20:,} MB are read, so save a "
                "part of it"
            )

    def read(self) -> npt.NDArray[Any]:
        """Return the values: bool, integers or floating point, of the type that they have in MATLAB.

        MATLAB stores integers in an array of floating point with fewer bytes; these are floating point again.

        Raises:
            InputError: These are no numbers, or complex ones, or more than are read at once; or the file is damaged.
            MissingDependencyError: scipy is not installed.
        """
        self.check()
        reader = _reader(self.file)
        try:
            values = np.asarray(reader.loadmat(self.file, variable_names=[self.variable])[self.variable])
        except Exception as error:  # of the reader, for whatever a damaged file declares
            raise _damaged(self.file, error, f" in {self.variable}") from error
        if values.dtype.kind not in "biuf":  # complex ones of MATLAB 4
            raise InputError(f"{self.title}: {values.dtype} values; save real numbers{_HINTS['complex']}")
        if values.shape != self.shape:
            raise InputError(f"{self.title}: declares {self}, and has {'x'.join(map(str, values.shape))}; copy the file again")
        return np.ascontiguousarray(values, _KINDS[self.kind])


def is_matlab(path: str | Path) -> bool:
    """Return whether a path is that of a MATLAB file, by its suffix."""
    return Path(path).suffix.lower() == SUFFIX


def list_arrays(path: str | Path) -> list[MatlabArray]:
    """Return the variables of a MATLAB file, without reading their values.

    Args:
        path: File of MATLAB 4 to 7.2, or saved with `-v7`.

    Raises:
        InputError: There is no such file, it is damaged or no MATLAB file, or one of MATLAB 7.3, which is HDF5.
        MissingDependencyError: scipy is not installed.
    """
    file = existing_file(path)
    with file.open("rb") as stream:
        start = stream.read(_HDF5_START + len(_HDF5))
    if start.startswith((_HDF5, b"MATLAB 7.3")) or start[_HDF5_START:] == _HDF5:
        raise InputError(
            f"{path}: a file of MATLAB 7.3 (HDF5), which is not read. Save it again in MATLAB, S = load('{file.name}'); "
            f"save('{file.name}', '-struct', 'S', '-v7'), or write its arrays as TIFF files with h5py and tifffile"
        )
    reader = _reader(file)
    try:
        is_new = reader.matlab.matfile_version(file)[0] > 0
        imaginary = _complex_arrays(file) if is_new else set[str]()
        found = reader.whosmat(file)
    except CdzooError:
        raise
    except Exception as error:  # of the reader, for whatever a damaged file declares
        raise _damaged(file, error) from error
    kinds = ((str(name), shape, f"{'complex ' if name in imaginary else ''}{kind}") for name, shape, kind in found)
    return [MatlabArray(file, name, tuple(map(int, shape)), kind) for name, shape, kind in kinds]


def _complex_arrays(file: Path) -> set[str]:
    """Return the names of complex arrays in a file of MATLAB 5 to 7.2, after checking what the reader trusts.

    It lists the variables before the end of a file that was cut off, and crashes at numbers of an unknown type.
    """
    found = set()
    size = file.stat().st_size
    with file.open("rb") as stream:
        order = "<" if stream.read(_HEADER)[-2:] == b"IM" else ">"
        while tag := stream.read(8):
            kind, length = struct.unpack(f"{order}II", tag.ljust(8, b"\0"))
            if (end := stream.tell() + length) > size or len(tag) < 8:
                raise InputError(f"{file}: truncated: {size:,} bytes, expected {end:,} or more; copy it again")
            start = stream.read(min(length, _START))
            if kind == _COMPRESSED:
                start = zlib.decompressobj().decompress(start, _START)
                kind, start = struct.unpack(f"{order}I", start[:4])[0], start[8:]
            if kind != _MATRIX:
                raise InputError(f"{file}: damaged: an element of type {kind} in place of an array; copy it again")
            name, is_complex, stored = _array_header(start, order)
            if stored not in _STORED:
                raise InputError(f"{file}: damaged: the numbers of {name} are of an unknown type; copy it again")
            found |= {name} if is_complex else set()
            stream.seek(end)
    return found


def _array_header(start: bytes, order: str) -> tuple[str, bool, int]:
    """Return the name of an array, whether it is complex, and the type of its numbers; 1 for arrays that hold none."""
    (flags,) = struct.unpack_from(f"{order}I", start, 8)
    if flags & 255 not in _NUMBERS:
        return "", False, 1
    _, _, at = _element(start, 16, order)  # its shape
    _, name, at = _element(start, at, order)
    return name.decode("latin-1"), bool(flags & 0x800), _element(start, at, order)[0]


def _element(start: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Return the type and content of an element, and where the next one is; up to four bytes are in the tag."""
    (kind,) = struct.unpack_from(f"{order}I", start, at)
    if kind >> 16:
        return kind & 0xFFFF, start[at + 4 : at + 4 + (kind >> 16)], at + 8
    (length,) = struct.unpack_from(f"{order}I", start, at + 4)
    return kind, start[at + 8 : at + 8 + length], at + 8 + -(-length // 8) * 8


def _reader(file: Path) -> Any:
    return require("scipy.io", "datasets", f"{file}: reading MATLAB files")


def _damaged(file: Path, error: Exception, place: str = "") -> InputError:
    reason = str(error) or type(error).__name__
    return InputError(f"{file}: cannot be read{place} ({reason}): damaged, or no MATLAB file; copy it again, or check its suffix")

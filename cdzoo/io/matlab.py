"""Arrays in MATLAB files, read with scipy."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError, require
from cdzoo.io.inputs import existing_file

SUFFIX = ".mat"
_KINDS = {"logical": "bool", "single": "float32", "double": "float64"}
_KINDS |= {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
"""Type of the values of each class of arrays of numbers."""
_MAX_ARRAY = 4 << 30  # bytes of an array that is read at once
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_START = 512  # of the content of a file of MATLAB 7.3
_HEADER = 128  # bytes before the variables of a file of MATLAB 5 to 7.2
_ORDERS = {b"IM": "<", b"MI": ">"}
"""Order of the bytes by the last two ones of the header."""


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
        """Check that these are numbers that can be read.

        Raises:
            InputError: They are not, or more than are read at once.
        """
        if self.kind not in _KINDS:
            hint = ", such as full(X) of a sparse one" if self.kind == "sparse" else ""
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
            # With its own option for types, scipy drops the imaginary parts of complex numbers.
            values = np.asarray(reader.loadmat(self.file, variable_names=[self.variable])[self.variable])
        except Exception as error:  # of the reader, for whatever a damaged file declares
            raise _damaged(self.file, error, f" in {self.variable}") from error
        if values.dtype.kind not in "biuf":
            kind = "complex numbers; save abs(X), or their real and imaginary parts" if values.dtype.kind == "c" else "no numbers"
            raise InputError(f"{self.title}: {kind}")
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
        found = reader.whosmat(file)
    except Exception as error:  # of the reader, for whatever a damaged file declares
        raise _damaged(file, error) from error
    _check_complete(file)
    return [MatlabArray(file, str(name), tuple(map(int, shape)), str(kind)) for name, shape, kind in found]


def _check_complete(file: Path) -> None:
    """Raise for a file of MATLAB 5 to 7.2 that was cut off, of which the reader lists the variables before the end."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        if (order := _ORDERS.get(stream.read(_HEADER)[-2:])) is None:
            return
        while tag := stream.read(8):
            end = stream.tell() + (struct.unpack(f"{order}4xI", tag)[0] if len(tag) == 8 else 8)
            if end > size:
                raise InputError(f"{file}: truncated: {size:,} bytes, expected {end:,} or more; copy it again")
            stream.seek(end)


def _reader(file: Path) -> Any:
    return require("scipy.io", "datasets", f"{file}: reading MATLAB files")


def _damaged(file: Path, error: Exception, place: str = "") -> InputError:
    reason = str(error) or type(error).__name__
    return InputError(f"{file}: cannot be read{place} ({reason}): damaged, or no MATLAB file; copy it again, or check its suffix")

"""`Palette`: declared meaning of the values and colors of label files of several classes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.images import UInt8
from cdzoo.io.pillow import UnsupportedByPillow, color_mode, decode, open_image
from cdzoo.io.placement import Placement, burn, is_vector, placed_table, to_grid
from cdzoo.io.rasters import read_deep

RGB = tuple[int, int, int]
Integers = npt.NDArray[Any]

UNDEFINED = 254
"""In tables: a value or color without a meaning."""
_BLOCK = 1 << 22
_LISTED = 12


@dataclass(frozen=True, eq=False)
class Palette:
    """Meaning of the values and colors of label files; everything else raises.

    Files of one band are read by `values`, files in color by `colors`. Files with a color table are read by their values if these
    are declared, and by their colors otherwise; where the color of a value is declared as another class, they raise.

    Attributes:
        title: What declares the palette, for messages.
        values: Class of each stored value, 0 to 253, or 255 for pixels without a label; empty if files have colors.
        colors: Class of each color; empty if files have values.
        hint: What to do about a file that does not match, for messages.
        names: Class of each name in lower case, for polygons whose attribute has names.

    Raises:
        ConfigError: A value, color or class is out of range.
    """

    title: str
    values: Mapping[int, int] = field(default_factory=dict)
    colors: Mapping[RGB, int] = field(default_factory=dict)
    hint: str = ""
    names: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the numbers."""
        numbers = [*self.values, *(level for color in self.colors for level in color)]
        classes = {*self.values.values(), *self.colors.values()}
        if any(not 0 <= number < 256 for number in (*numbers, *classes)) or UNDEFINED in classes:
            raise ConfigError(f"{self.title}: values, colors and classes must be from 0 to 255, and no class {UNDEFINED}")

    def read(self, path: str | Path, placement: Placement | None = None) -> UInt8:
        """Read a label file as classes (H, W).

        Args:
            path: Image file, or polygons.
            placement: What places polygons, or labels on another grid than the images.

        Raises:
            InputError: The file is missing or damaged, or has a value or color that is not declared; the message names the pixel.
        """
        if is_vector(path):
            return self._burnt(path, placement)
        if placement is None:
            return self._stored(path)
        values = to_grid(path, lambda slices: self._stored(path, slices), placement)
        return placed_table(np.arange(256, dtype=np.uint8))[values]

    def _burnt(self, path: str | Path, placement: Placement | None) -> UInt8:
        """Return the classes of polygons; 0 where there is none."""
        if placement is None or placement.attribute is None:
            raise InputError(f"{path}: name the attribute that holds the classes of the polygons, with --label-attribute NAME")
        found = burn(path, placement, self.names)
        table = np.full(256, UNDEFINED, np.uint8)
        table[list(self.values)] = list(self.values.values())
        classes = placed_table(table)[found]
        if (unknown := classes == UNDEFINED).any():
            self._raise_unknown(path, found, unknown, "")
        return classes

    def _stored(self, path: str | Path, slices: tuple[slice, slice] | None = None) -> UInt8:
        """Read a label file, or some rows and columns of it, as classes on its own grid."""
        pixels, table = read_labels(path, slices)
        if table is not None and self.values:
            self._check_table(path, pixels, table)
        elif table is not None:
            pixels = table[pixels]
        elif pixels.ndim == 3 and not self.colors:  # values in three equal bands
            if (pixels[..., :1] != pixels).any():
                raise InputError(
                    f"{path}: a color image; {self.title} has one band with the values {self._allowed()}{self._advice}"
                )
            pixels = pixels[..., 0]
        return self.classes(path, pixels)

    def classes(self, path: str | Path, pixels: Integers, band: str = "") -> UInt8:
        """Return the classes (H, W) of values (H, W) or colors (H, W, 3) from a file.

        Args:
            path: The file, for messages.
            pixels: Integers.
            band: Name of the band, for messages.

        Raises:
            InputError: A value or color is not declared.
        """
        if pixels.ndim == 2 and not self.values:
            raise InputError(f"{path}: has one band of values, but {self.title} defines colors only{self._advice}")
        found = np.concatenate([self._looked_up(rows) for rows in _blocks(pixels)])
        if (unknown := found == UNDEFINED).any():
            self._raise_unknown(path, pixels, unknown, band)
        return found

    def _looked_up(self, pixels: Integers) -> UInt8:
        if pixels.ndim == 3:
            return _color_table(tuple(self.colors.items()))[_packed(pixels)]
        table = np.full(257, UNDEFINED, np.uint8)
        table[list(self.values)] = list(self.values.values())
        # Values beyond 8 bits, and negative ones, become 256, which is never declared.
        return table[np.where((pixels >= 0) & (pixels < 256), pixels, 256).astype(np.intp)]

    def _check_table(self, path: str | Path, indexes: UInt8, table: UInt8) -> None:
        """Raise if the color of a used value is declared as another class than the value."""
        for value in np.unique(indexes).tolist():
            color: Any = tuple(table[value].tolist())
            by_color, by_value = self.colors.get(color), self.values.get(value)
            if None not in (by_color, by_value) and by_color != by_value:
                row, column = np.argwhere(indexes == value)[0].tolist()
                raise InputError(
                    f"{path}: the pixel at row {row}, column {column} has the value {value} with the color {color} in the table "
                    f"of the file; in {self.title} the value is class {by_value} and the color is class {by_color}{self._advice}"
                )

    def _raise_unknown(self, path: str | Path, pixels: Integers, unknown: npt.NDArray[np.bool_], band: str) -> None:
        row, column = (int(number) for number in np.unravel_index(np.argmax(unknown), unknown.shape))
        one = pixels[row, column]
        what = f"the color {tuple(one.tolist())}" if pixels.ndim == 3 else f"the value {one}"
        where = f" of {band}" if band else ""
        raise InputError(
            f"{path}: the pixel at row {row}, column {column}{where} has {what}, which {self.title} does not "
            f"define ({np.count_nonzero(unknown)} such pixels); defined: {self._allowed(pixels.ndim == 3)}{self._advice}"
        )

    def _allowed(self, colors: bool = False) -> str:
        names = [f"({', '.join(map(str, color))})" for color in self.colors] if colors else list(map(str, self.values))
        return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")

    @property
    def _advice(self) -> str:
        return f". {self.hint}" if self.hint else ""


def class_palette(
    title: str,
    colors: Sequence[RGB],
    values: Sequence[int] = (),
    unlabeled: Sequence[RGB | int] = (),
    hint: str = "",
) -> Palette:
    """Return the palette of classes in order: class 0 first.

    Args:
        title: What declares it, for messages.
        colors: Color of each class; empty if files have values only.
        values: Stored value of each class; empty if files have colors only.
        unlabeled: Colors or values of pixels without a label.
        hint: What to do about a file that does not match, for messages.
    """
    void: Any = dict.fromkeys(unlabeled, IGNORE_INDEX)
    known: Any = {color: number for number, color in enumerate(colors)}
    return Palette(
        title,
        {value: number for number, value in enumerate(values)} | {key: void[key] for key in void if isinstance(key, int)},
        known | {key: void[key] for key in void if not isinstance(key, int)},
        hint,
    )


def read_labels(path: str | Path, slices: tuple[slice, slice] | None = None) -> tuple[Integers, UInt8 | None]:
    """Read a label file: values (H, W) or colors (H, W, 3), and the color table (256, 3) if there is one.

    Args:
        path: Path of the file.
        slices: Rows and columns to read, without decoding the rest of the file; the whole image by default.

    Raises:
        InputError: The file is missing, damaged or partly transparent, or holds no integers.
    """
    try:
        with open_image(path, slices) as image:
            if image.mode == "P":
                colors = np.zeros((256, 3), np.uint8)
                entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
                colors[: len(entries)] = entries
                return decode(image, "P"), colors
            mode = color_mode(path, image) if image.mode != "1" else "1"
            pixels: Integers = decode(image, mode)
    except UnsupportedByPillow:
        pixels = read_deep(path, slices)
        if pixels.dtype.kind not in "iu":
            raise InputError(f"{path}: {pixels.dtype} values; expected labels, which are integers") from None
        mode = ""
    pixels = pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels
    if mode in ("LA", "RGBA"):
        if pixels[..., -1].min() < 255:
            raise InputError(f"{path}: the labels are partly transparent; save them without an alpha channel")
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim == 3 and (pixels.shape[2] != 3 or pixels.dtype != np.uint8):
        raise InputError(
            f"{path}: {pixels.shape[2]} bands of {pixels.dtype}; expected labels of one band or RGB colors of 8 bits"
        )
    return pixels, None


def _blocks(pixels: Integers) -> list[Integers]:
    return np.array_split(pixels, max(1, min(len(pixels), pixels.size // _BLOCK)))


def _packed(colors: UInt8) -> Integers:
    red, green, blue = (colors[..., band].astype(np.int32) for band in range(3))
    return (red << 16) | (green << 8) | blue


@functools.lru_cache(maxsize=8)
def _color_table(colors: tuple[tuple[RGB, int], ...]) -> UInt8:
    """Return the class of each of the 2^24 colors."""
    table = np.full(1 << 24, UNDEFINED, np.uint8)
    for (red, green, blue), number in colors:
        table[(red << 16) | (green << 8) | blue] = number
    return table

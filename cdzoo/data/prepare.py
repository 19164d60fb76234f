"""Cutting a data set into tiles on disk: the same samples as `TiledPairs`, but faster to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from cdzoo.data.layout import PairFiles
from cdzoo.data.masks import MaskEncoding, detect_encoding, to_change
from cdzoo.errors import InputError
from cdzoo.io.files import check_new_folder
from cdzoo.io.images import image_format, read_gray, read_image
from cdzoo.io.rasters import is_tiff, read_window
from cdzoo.tiling import Window, tile_name, tile_windows

FILE = "cdzoo_tiles.json"
_LARGE = 64 * 2**20
"""Number of pixels above which a TIFF is read window by window."""


def write_tiles(splits: dict[str, list[PairFiles]], out: Path, tile: int, progress: bool = True) -> dict[str, int]:
    """Write the tiles of 8-bit pairs as `OUT/SPLIT/A|B|label/NAME.png`, masks as 0/255. The folder is written atomically.

    Args:
        splits: Files of each split.
        out: Folder to create; must not exist.
        tile: Side of a tile in pixels, at least 32.
        progress: Show a progress bar.

    Returns:
        Number of tiles of each split.

    Raises:
        InputError: `out` exists, or an image cannot be read or has more than 8 bits.
    """
    check_new_folder(out)
    temporary = out.with_name(f".{out.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    counts: dict[str, int] = {}
    try:
        with tqdm(total=sum(map(len, splits.values())), desc="cutting tiles", unit="pair", disable=not progress) as bar:
            for split, pairs in splits.items():
                for name in ("A", "B", "label"):
                    (temporary / split / name).mkdir(parents=True)
                encoding = _encoding(pairs)
                counts[split] = 0
                for pair in pairs:
                    counts[split] += _cut(pair, encoding, temporary / split, tile)
                    bar.update()
        (temporary / FILE).write_text(json.dumps({"tile": tile, "tiles": counts}, indent=2) + "\n", encoding="utf-8")
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


def _encoding(pairs: list[PairFiles]) -> MaskEncoding:
    small = [pair.mask for pair in pairs if not _large(pair.mask)]
    return detect_encoding(small) if small else MaskEncoding.FULL


def _cut(pair: PairFiles, encoding: MaskEncoding, folder: Path, tile: int) -> int:
    height, width, *_ = image_format(pair.mask)
    windows = tile_windows(height, width, tile)
    readers = [_Reader(path) for path in pair.images]
    masks = _Reader(pair.mask, gray=True)
    for window in windows:
        name = f"{tile_name(pair.name, window) if len(windows) > 1 else pair.name}.png"
        for reader, kind in zip(readers, ("A", "B"), strict=True):
            Image.fromarray(reader.read(window)).save(folder / kind / name)
        pixels = masks.read(window)
        if masks.large:
            # A scene is not read as a whole to detect its encoding; every window with change shows it.
            change = to_change(pair.mask, pixels, MaskEncoding.ONE if pixels.max() <= 1 else MaskEncoding.FULL)
        else:
            change = to_change(pair.mask, pixels, encoding)
        Image.fromarray(change * np.uint8(255)).save(folder / "label" / name)
    return len(windows)


class _Reader:
    """Windows of one file, cut from the image in memory or read from a large TIFF one by one."""

    def __init__(self, path: Path, gray: bool = False) -> None:
        self.path, self.gray = path, gray
        self.large = _large(path)
        self.pixels: npt.NDArray[Any] | None = None
        if not self.large:
            self.pixels = read_gray(path) if gray else read_image(path, image_format(path)[2])

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        if self.pixels is None:
            pixels = read_window(self.path, window.y, window.x, window.height, window.width)
            if pixels.dtype != np.uint8:
                raise InputError(f"{self.path}: {pixels.dtype} values; tiles have 8 bits, so rescale the image first")
            pixels = pixels[..., 0] if self.gray else pixels
        else:
            pixels = self.pixels[window.y : window.y + window.height, window.x : window.x + window.width]
        pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
            raise InputError(f"{self.path}: {pixels.shape[2]} bands; tiles are PNG files, which have 1, 3 or 4")
        return np.ascontiguousarray(pixels)


def _large(path: Path) -> bool:
    height, width, *_ = image_format(path)
    return is_tiff(path) and height * width > _LARGE

"""Cut a data set into tiles on disk: the same samples as `TiledPairs`, but faster to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from cdzoo.data.layout import PairFiles
from cdzoo.data.masks import MaskEncoding, detect_encoding, to_change
from cdzoo.errors import InputError
from cdzoo.io.files import check_new_folder
from cdzoo.io.images import UInt8, image_format, read_gray, read_image
from cdzoo.io.rasters import is_tiff, read_deep
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
                encoding = detect_encoding([pair.mask for pair in pairs if not _large(pair.mask)])
                counts[split] = 0
                for pair in pairs:
                    counts[split] += _cut(pair, encoding, temporary / split, tile)
                    bar.update()
        (temporary / FILE).write_text(json.dumps({"tile": tile, "tiles": counts}, indent=2) + "\n", encoding="utf-8")
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


def _cut(pair: PairFiles, encoding: MaskEncoding, folder: Path, tile: int) -> int:
    """Write the tiles of a pair; return their number."""
    height, width, *_ = image_format(pair.mask)
    windows = tile_windows(height, width, tile)
    files = {"A": pair.images[0], "B": pair.images[1], "label": pair.mask}
    whole = {kind: None if _large(path) else _read(path, kind == "label") for kind, path in files.items()}
    for window in windows:
        name = f"{tile_name(pair.name, window) if len(windows) > 1 else pair.name}.png"
        for kind, path in files.items():
            pixels = _crop(path, whole[kind], window)
            if kind == "label":
                pixels = pixels[..., 0] if pixels.ndim == 3 else pixels
                # The encoding of a large mask is checked in each window, because detecting it would read the whole mask.
                pixels = to_change(path, pixels, None if whole[kind] is None else encoding) * np.uint8(255)
            Image.fromarray(pixels).save(folder / kind / name)
    return len(windows)


def _read(path: Path, gray: bool) -> UInt8:
    return read_gray(path) if gray else read_image(path, image_format(path)[2])


def _crop(path: Path, whole: UInt8 | None, window: Window) -> UInt8:
    """Return a window of an image in memory, or of a large TIFF if `whole` is None: (H, W) or (H, W, 3 or 4)."""
    pixels = read_deep(path, window.slices) if whole is None else whole[window.slices]
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: {pixels.dtype} values; tiles have 8 bits, so rescale the image first")
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        raise InputError(f"{path}: {pixels.shape[2]} bands; tiles are PNG files, which have 1, 3 or 4")
    return np.ascontiguousarray(pixels)


def _large(path: Path) -> bool:
    height, width, *_ = image_format(path)
    return is_tiff(path) and height * width > _LARGE

"""Cut a data set into tiles on disk: the same samples as `TiledPairs`, but faster to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.classes import FILES, declaration
from cdzoo.data.folder import FilePairs
from cdzoo.data.labels import Labels
from cdzoo.data.listing import PairFiles
from cdzoo.data.masks import MaskEncoding, count_masks, read_mask
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import InputError
from cdzoo.io.files import check_new_folder
from cdzoo.io.formats import is_tiff
from cdzoo.io.images import UInt8, image_format, read_image_and_valid
from cdzoo.io.progress import tqdm
from cdzoo.io.rasters import read_deep, read_valid
from cdzoo.tiling import Window, tile_name, tile_windows

FILE = "cdzoo_tiles.json"
CLASSES = FILES[0]
_LARGE = 64 * 2**20
"""Number of pixels above which an image in a TIFF is read window by window."""


def write_tiles(
    splits: dict[str, list[PairFiles]],
    out: Path,
    tile: int,
    progress: bool = True,
    encoding: MaskEncoding | None = None,
    labels: Labels | None = None,
    fill_value: int | None = None,
) -> dict[str, int]:
    """Write the tiles of 8-bit pairs as `OUT/SPLIT/A|B|label/NAME.png`. The folder is written atomically.

    Masks are written as 0/255; as 0/1/255 if `encoding` declares values for pixels without a label. Labels of several classes are
    written as numbers to the folders that `labels` names, with a file `classes.json`.

    Args:
        splits: Files of each split.
        out: Folder to create; must not exist.
        tile: Side of a tile in pixels, at least 32.
        progress: Show a progress bar.
        encoding: Encoding of the masks; detected in each split by default.
        labels: Reads the targets of several classes; None for masks of change.
        fill_value: 8-bit value that all bands of all dates have where there are no data.

    Returns:
        Number of tiles of each split.

    Raises:
        InputError: `out` exists, or an image cannot be read, has more than 8 bits, or declares pixels without data.
    """
    check_new_folder(out)
    temporary = out.with_name(f".{out.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    counts: dict[str, int] = {}
    try:
        with tqdm(total=sum(map(len, splits.values())), desc="cutting tiles", unit="pair", disable=not progress) as bar:
            for split, pairs in splits.items():
                for name in ("A", "B", *(labels.folders if labels else ("label",))):
                    (temporary / split / name).mkdir(parents=True)
                counts[split] = 0
                if labels is not None:
                    counts[split] = _cut_classes(pairs, labels, fill_value, temporary / split, tile, bar)
                    continue
                found, _ = count_masks([pair.mask for pair in pairs], encoding, [pair.placement for pair in pairs])
                for pair in pairs:
                    counts[split] += _cut(pair, found, temporary / split, tile)
                    bar.update()
        if labels is not None:
            (temporary / CLASSES).write_text(json.dumps(declaration(labels), indent=2) + "\n", encoding="utf-8")
        (temporary / FILE).write_text(json.dumps({"tile": tile, "tiles": counts}, indent=2) + "\n", encoding="utf-8")
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


def _cut(pair: PairFiles, encoding: MaskEncoding, folder: Path, tile: int) -> int:
    """Write the tiles of a pair; return their number."""
    height, width, *_ = image_format(pair.images[0])
    windows = tile_windows(height, width, tile)
    files = {"A": pair.images[0], "B": pair.images[1], "label": pair.mask}
    mask = read_mask(pair.mask, encoding, pair.placement)
    if len(encoding.values) < 3:
        _check_valid(pair.mask, bool((mask != IGNORE_INDEX).all()))
    mask = mask if len(encoding.values) > 2 else mask * np.uint8(255)
    whole = {kind: mask if kind == "label" else None if _large(path) else _read(path) for kind, path in files.items()}
    for window in windows:
        name = f"{tile_name(pair.name, window) if len(windows) > 1 else pair.name}.png"
        for kind, path in files.items():
            Image.fromarray(_crop(path, whole[kind], window)).save(folder / kind / name)
    return len(windows)


def _cut_classes(pairs: list[PairFiles], labels: Labels, fill_value: int | None, folder: Path, tile: int, bar: Any) -> int:
    """Write the tiles of pairs with labels of several classes; return their number."""
    count = 0
    for pair in pairs:
        bands = tuple(image_format(path)[2] for path in pair.images)
        samples = FilePairs([pair], bands, labels=labels, fill_value=fill_value)
        tiles = TiledPairs(samples, tile)
        for sample in (tiles[index] for index in range(len(tiles))):
            files = dict(zip("AB", (image.permute(1, 2, 0) for image in sample.images), strict=True))
            files |= {name: sample.target[target] for name, target in labels.folders.items()}
            for name, values in files.items():
                pixels = values.numpy().astype(np.uint8)
                pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
                Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name / f"{sample.name}.png")
            count += 1
        bar.update()
    return count


def _read(path: Path) -> UInt8:
    pixels, valid = read_image_and_valid(path, image_format(path)[2])
    _check_valid(path, valid is None)
    return pixels


def _crop(path: Path, whole: UInt8 | None, window: Window) -> UInt8:
    """Return a window of an image in memory, or of a large TIFF if `whole` is None: (H, W) or (H, W, 3 or 4)."""
    if whole is None:
        pixels = read_deep(path, window.slices)
        _check_valid(path, bool(read_valid(path, window.slices).all()))
    else:
        pixels = whole[window.slices]
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: {pixels.dtype} values; tiles have 8 bits, so rescale the image first")
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        raise InputError(f"{path}: {pixels.shape[2]} bands; tiles are PNG files, which have 1, 3 or 4")
    return np.ascontiguousarray(pixels)


def _check_valid(path: Path, valid: bool) -> None:
    if not valid:
        raise InputError(
            f"{path}: has pixels without data, which PNG tiles cannot tell; train on the folder itself, where they are left out"
        )


def _large(path: Path) -> bool:
    height, width, *_ = image_format(path)
    return is_tiff(path) and height * width > _LARGE

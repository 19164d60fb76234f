"""`cdzoo data prepare`."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.errors import ConfigError, InputError, mask_url
from cdzoo.io.files import check_new_folder

if TYPE_CHECKING:
    from cdzoo.data.listing import PairFiles

_TILES = (256, 128, 64, 32)  # sides of windows in pixels, the default first
_BLOCKS = 16  # of ground that are to be divided into splits


def prepare(
    name: str,
    *,
    root: str | None = None,
    out: str | None = None,
    tile: int = 256,
    url: list[str] = [],  # noqa: B006  # read only
    sha256: list[str] = [],  # noqa: B006
    mask_encoding: str | None = None,
    class_order: str | None = None,
    columns: list[str] = [],  # noqa: B006
) -> None:
    """Download archives of a data set, and cut it into tiles; or write a data set of Hugging Face or MATLAB files as a folder.

    Args:
        name: Data set, or a folder with train/, val/ and test/; or hf-dataset:owner/name; or a .mat file, or a folder of them.
        root: Its folder; $CDZOO_DATA/NAME or data/NAME by default.
        out: Folder of the tiles, none are written by default; or of the written data set.
        tile: Side of a tile in pixels.
        url: Archives to download and unpack first.
        sha256: Checksums of the archives, in the same order.
        mask_encoding: Values of the masks for no change, change and no label, such as 0/1/255; detected by default.
        class_order: Order of the classes of a named data set that has several (cdzoo data info NAME).
        columns: Columns of hf-dataset:owner/name with the images before, those after, and the masks, or arrays of .mat files,
            such as T1 T2 Binary; found by their names by default.
    """
    if name.startswith("hf-dataset:"):
        _write_hub_dataset(name.partition(":")[2], out, columns)
        return
    from cdzoo.data.matlab import holds_matlab

    if holds_matlab(name):
        _write_matlab(name, out, columns, mask_encoding)
        return
    if columns:
        raise ConfigError(f"--columns is for hf-dataset:owner/name and for .mat files, and {name} is neither")
    from cdzoo.data.config import DataCfg
    from cdzoo.data.datasets import dataset_info
    from cdzoo.data.layout import find_splits
    from cdzoo.data.source import FileSource, data_root

    described = None if os.path.isdir(name) else dataset_info(name)
    folder = Path(root) if root else Path(name) if described is None else data_root(name)
    if described is not None and described.generate is not None:
        raise InputError(f"{name} is generated when it is opened; there are no files to prepare")
    if sha256 and len(sha256) != len(url):
        raise ConfigError(f"--sha256 takes one checksum for each --url, got {len(sha256)} for {len(url)}")
    for number, address in enumerate(url):
        _get(address, sha256[number] if sha256 else None, folder)
    if described is not None and not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; download {described.files} from {described.homepage}, and unpack to it; "
            f"layout: {described.layout}"
        )
    if out is None:
        print(f"{folder} exists; cut it into tiles with --out FOLDER")
        return
    from cdzoo.data.prepare import write_tiles

    path, root = (str(folder), None) if described is None else (name, str(folder))
    cfg = DataCfg(path, mask_encoding=mask_encoding, root=root, class_order=class_order)
    source = FileSource(cfg)
    splits = list(find_splits(folder, source.layouts)) or (described.existing_splits(folder) if described else [])
    if not splits:
        raise InputError(f"{folder}: no splits (train/, val/, test/ or list/*.txt), so the tiles cannot be assigned to splits")
    pairs = {split: source.read(split) for split in splits}
    fill_value = described.fill_value if described else None
    counts = write_tiles(pairs, Path(out), tile, encoding=cfg.encoding, labels=source.labels, fill_value=fill_value)
    declared = " --mask-encoding 0/1/255" if cfg.encoding and len(cfg.encoding.values) > 2 else ""
    print(f"{out}: {', '.join(f'{split} {count} tiles' for split, count in counts.items())}; use it with --data {out}{declared}")


def _write_hub_dataset(name: str, out: str | None, columns: list[str]) -> None:
    from cdzoo.data.hub_dataset import write_hub_dataset

    if out is None:
        raise ConfigError(f"hf-dataset:{name}: name the folder to write: --out FOLDER")
    counts = write_hub_dataset(name, Path(out), columns)
    print(f"{out}: {', '.join(f'{split} {count} pairs'.strip() for split, count in counts.items())}; use it with --data {out}")


def _write_matlab(name: str, out: str | None, columns: list[str], mask_encoding: str | None) -> None:
    from cdzoo.data.masks import MaskEncoding
    from cdzoo.data.matlab import ROLES, write_matlab
    from cdzoo.io.images import image_format

    if out is None:
        raise ConfigError(f"{name}: name the folder to write: --out FOLDER")
    encoding = None if mask_encoding is None else MaskEncoding(mask_encoding)
    pair, found = write_matlab(name, Path(out), columns, encoding)
    height, width, *_ = image_format(pair.images[0])
    for date, path in zip(("before", "after"), pair.images, strict=True):
        _, _, bands, dtype = image_format(path)
        print(f"{date:<6} {path}: {width}x{height}, {bands} band(s), {dtype}")
    print(f"mask   {pair.mask}: {found.value}")
    declared = [] if mask_encoding is None else [f"--mask-encoding {mask_encoding}"]
    print("A scene is cut into windows, which are divided into splits by blocks of ground; check it, and train on it, with:")
    files = [f"--{option} {shlex.quote(str(path))}" for option, path in zip(ROLES, (*pair.images, pair.mask), strict=True)]
    tile, windows = _windows(height, width)
    shared = [*files, *declared, *windows]
    print(" ".join(["cdzoo data check", *shared]))
    run = "--out runs/" + re.sub(r"[^\w.-]", "_", pair.name)
    print(" ".join(["cdzoo train", *_model(pair), *shared, *_values(pair), *([f"crop={tile}"] if windows else []), run]))


def _windows(height: int, width: int) -> tuple[int, list[str]]:
    """Return the side of the largest windows of a scene that lie in enough blocks for three splits, and options for them."""
    from cdzoo.data.blocks import WINDOWS

    smallest = _TILES[-1]
    for tile in _TILES:
        side = WINDOWS * tile
        if -(-height // side) * -(-width // side) >= _BLOCKS:
            return tile, [f"--tile {tile}"] if tile != _TILES[0] else []
    return smallest, [f"--tile {smallest} --block {smallest}"]


def _model(pair: PairFiles) -> list[str]:
    """Return options for a model with the bands of both dates."""
    from cdzoo.io.images import image_format

    before, after = (image_format(path)[2] for path in pair.images)
    if before != after:
        return [f"--model fc_siam_conc --in-chans '[{before}, {after}]' --siamese false"]
    return [f"--model fc_siam_diff --in-chans {before}"]


def _values(pair: PairFiles) -> list[str]:
    """Return options for the ranges of values that nothing tells: all but the most extreme thousandths of them."""
    import numpy as np

    from cdzoo.data.value_ranges import tell_pairs
    from cdzoo.io.images import image_format
    from cdzoo.io.value_ranges import sample_values

    kinds = [image_format(path)[3] for path in pair.images]
    if all(kind == "uint8" or told is not None for kind, told in zip(kinds, tell_pairs([pair]), strict=True)):
        return []
    samples = [sample_values(path) for path in pair.images]
    values = [sample.pixels[np.isfinite(sample.pixels)] for sample in samples]
    if kinds[0] == kinds[1]:
        values = [np.concatenate(values)]
    groups = dict(zip(("--value-range", "--value-range-after"), values, strict=False))
    limits = {option: np.quantile(found, (0.001, 0.999)).tolist() for option, found in groups.items() if found.size}
    return [f"{option} {low:.4g} {high:.4g}" for option, (low, high) in limits.items() if low < high]


def _get(url: str, sha256: str | None, folder: Path) -> None:
    from cdzoo.data.archives import unpack
    from cdzoo.data.download import fetch

    name = re.sub(r"[^\w.-]", "_", re.split(r"[?#]", url)[0].rpartition("/")[2])[-80:].lstrip(".") or "archive"
    stem = name.split(".")[0]
    # train.zip, val.zip and test.zip go to separate folders; a single archive becomes the folder itself.
    target = folder / stem if stem in ("train", "val", "test") else folder
    check_new_folder(target, "leave out --url to use it, or choose another --root")
    # A folder of its own: beside the target may lie an archive of the same name that the user got elsewhere.
    store = folder.resolve().parent / f".{folder.resolve().name}.download"
    store.mkdir(parents=True, exist_ok=True)
    archive = store / name
    try:
        unpack(fetch(url, archive, sha256), target)
    except InputError:
        if sha256 is None:  # a verified archive stays for the next attempt
            archive.unlink(missing_ok=True)
        raise
    archive.unlink()
    with suppress(OSError):  # another archive is still on its way
        store.rmdir()
    print(f"{mask_url(url)} is unpacked in {target}")

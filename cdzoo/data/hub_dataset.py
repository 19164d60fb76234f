"""Data sets of the Hugging Face Hub, or of its library on disk, written as a folder of pairs."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from cdzoo.data.listing import SPLITS
from cdzoo.data.suggestion import role_of
from cdzoo.errors import ConfigError, InputError, require
from cdzoo.io.files import check_new_folder
from cdzoo.io.progress import tqdm

PREFIX = "hf-dataset:"
ROLES = ("before", "after", "mask")
_FOLDERS = ("A", "B", "label")
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp", "WEBP": ".webp", "JPEG2000": ".jp2"}


def write_hub_dataset(name: str, out: Path, columns: Sequence[str] = (), progress: bool = True) -> dict[str, int]:
    """Write a data set of the library `datasets` as `OUT/SPLIT/A|B|label/NUMBER.*`, with the files that it stores.

    Args:
        name: `owner/name` on the Hub, a local folder that `datasets.load_dataset` reads, or one of `save_to_disk`.
        out: Folder to create. It is complete once it exists.
        columns: Columns of the images of both dates and of the masks; found by their names by default, such as `T1`, `after`.
        progress: Show a progress bar.

    Returns:
        Number of pairs of each split; the name is empty for data without splits.

    Raises:
        InputError: `out` exists, or the data set cannot be loaded, has no such splits, or holds no images.
        ConfigError: A column does not exist, or the columns have to be named.
        MissingDependencyError: datasets is not installed.
    """
    check_new_folder(out)
    splits = _loaded(name)
    temporary = out.with_name(f".{out.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    counts: dict[str, int] = {}
    try:
        for split, rows in splits.items():
            used = _columns(name, rows, columns)
            for column in used:
                rows = _encoded(name, rows, column)
            folders = [temporary / split / folder for folder in _FOLDERS]
            for folder in folders:
                folder.mkdir(parents=True)
            for number, row in enumerate(tqdm(rows, f"writing {split or 'pairs'}", unit="pair", disable=not progress)):
                for folder, column in zip(folders, used, strict=True):
                    content = _bytes(name, row[column], f"{column}, row {number} of {split or 'the data'}")
                    (folder / f"{number:05d}{_suffix(name, content, column, number)}").write_bytes(content)
            counts[split] = len(rows)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


def _loaded(name: str) -> dict[str, Any]:
    """Return the rows of each split; of an empty name for data without splits of known names."""
    datasets: Any = require("datasets", "datasets", f"{PREFIX}{name}: reading data sets of Hugging Face")
    saved = any(os.path.isfile(os.path.join(name, file)) for file in ("dataset_dict.json", "state.json"))
    try:
        found = datasets.load_from_disk(name) if saved else datasets.load_dataset(name)
    except Exception as error:  # of datasets, huggingface_hub and the readers of formats
        hint = "check the name, and whether it requires an account (hf auth login)"
        raise InputError(f"{PREFIX}{name}: cannot be loaded ({str(error) or type(error).__name__}); {hint}") from error
    if not isinstance(found, dict):
        return {"": found}
    known = {split: rows for split, names in SPLITS.items() for given, rows in found.items() if str(given) in names}
    if len(found) == 1:
        return {next(iter(known), ""): rows for rows in found.values()} if "train" not in known else {"": known["train"]}
    if len(known) < len(found):
        allowed = ", ".join(each for names in SPLITS.values() for each in names)
        raise InputError(f"{PREFIX}{name}: has the splits {', '.join(map(str, found))}; expected some of {allowed}")
    return known


def _columns(name: str, rows: Any, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of both dates and of the masks."""
    present = list(rows.column_names)
    if columns:
        if len(columns) != len(ROLES) or (missing := [column for column in columns if column not in present]):
            wrong = f"no column {', '.join(missing)}" if len(columns) == len(ROLES) else f"{len(columns)} columns"
            raise ConfigError(
                f"--columns takes those of the images before, after and of the masks: {wrong}; {name} has {present}"
            )
        return tuple(columns)
    found = [[column for column in present if role_of(column) == role] for role in ROLES]
    if any(len(matching) != 1 for matching in found):
        raise ConfigError(
            f"{PREFIX}{name}: name the columns of the images before, after and of the masks: --columns BEFORE AFTER MASK; it has "
            f"{', '.join(present)}"
        )
    return tuple(matching[0] for matching in found)


def _encoded(name: str, rows: Any, column: str) -> Any:
    """Return rows whose column holds files as they are stored."""
    datasets: Any = require("datasets", "datasets", f"{PREFIX}{name}: reading data sets of Hugging Face")
    if not isinstance(rows.features[column], datasets.Image):
        raise InputError(f"{PREFIX}{name}: the column {column} holds {rows.features[column]}; expected images (datasets.Image)")
    return rows.cast_column(column, datasets.Image(decode=False))


def _bytes(name: str, value: Any, place: str) -> bytes:
    if value is None:
        raise InputError(f"{PREFIX}{name}: {place} is empty; remove the row")
    content = value.get("bytes")
    return bytes(content) if content is not None else Path(value["path"]).read_bytes()


def _suffix(name: str, content: bytes, column: str, number: int) -> str:
    """Return the suffix of the format of an image."""
    try:
        with Image.open(io.BytesIO(content), formats=[*_SUFFIXES]) as image:
            return _SUFFIXES[str(image.format)]
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{PREFIX}{name}: {column}, row {number}: no image of {', '.join(_SUFFIXES)} ({error})") from error

"""Pairs of images in folders: A/B/label and its usual spellings, no class to write."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from cdzoo.data.images import SUFFIXES, check_same_size, read_image, read_mask
from cdzoo.errors import InputError
from cdzoo.registry import natural_key

LAYOUTS = (("A", "B", "label"), ("T1", "T2", "GT"), ("im1", "im2", "label"), ("t1", "t2", "mask"), ("pre", "post", "label"))
"""Names of the folders of the first date, the second date and the masks."""


@dataclass(frozen=True)
class PairFiles:
    """Files of one sample."""

    name: str
    image_a: Path
    image_b: Path
    mask: Path


class FolderPairs(Dataset[dict[str, Any]]):
    """Pairs of one folder: `A/x.png`, `B/x.png`, `label/x.png` (see `LAYOUTS`), matched by file name without suffix.

    All headers are read at once, so that missing partners and differing sizes are reported together before work starts. Images
    without a mask cannot be trained on and are left out with a warning that names them.

    Args:
        root: The folder.
        bands: Bands of the first and of the second date.
        exclude: fnmatch wildcards of names to leave out.

    Raises:
        InputError: The layout is not recognised, a partner is missing, sizes differ, or nothing is left. All files are listed.
    """

    def __init__(self, root: str | Path, bands: tuple[int, int] = (3, 3), exclude: Sequence[str] = ()) -> None:
        self.root = Path(root)
        self.bands = bands
        self.pairs = _find_pairs(self.root, tuple(exclude))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample; reading it raises `InputError` when the file is damaged or the mask has other values."""
        pair = self.pairs[index]
        image_a, image_b = (
            torch.from_numpy(read_image(path, bands)).permute(2, 0, 1).contiguous()
            for path, bands in zip((pair.image_a, pair.image_b), self.bands, strict=True)
        )
        mask = torch.from_numpy(read_mask(pair.mask)).long()
        return {"image_a": image_a, "image_b": image_b, "mask": mask, "name": pair.name}


def find_layout(root: str | Path) -> tuple[Path, Path, Path] | None:
    """Return the folders of the two dates and the masks below `root`, or None when it holds none of `LAYOUTS`."""
    for layout in LAYOUTS:
        first, second, mask = (Path(root) / name for name in layout)
        if first.is_dir() and second.is_dir() and mask.is_dir():
            return first, second, mask
    return None


def find_split(root: str | Path, split: str) -> Path | None:
    """Return `root/split` when it holds pairs, else None."""
    folder = Path(root) / split
    return folder if find_layout(folder) else None


def _find_pairs(root: Path, exclude: tuple[str, ...]) -> list[PairFiles]:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    layout = find_layout(root)
    if layout is None:
        expected = "; ".join("/".join(names) for names in LAYOUTS)
        raise InputError(f"{root}: expected three folders (one of {expected}), found {_contents(root)}")
    first, second, masks = (_by_stem(folder) for folder in layout)
    first, second, masks = (
        {name: path for name, path in files.items() if not any(fnmatch(name, pattern) for pattern in exclude)}
        for files in (first, second, masks)
    )
    names = sorted(first.keys() | second.keys(), key=natural_key)
    unlabelled = [name for name in names if name not in masks]
    problems = [
        f"{(layout[0] / name).with_suffix('.*')}: missing, but there is {second[name]}" for name in names if name not in first
    ]
    problems += [
        f"{(layout[1] / name).with_suffix('.*')}: missing, but there is {first[name]}" for name in names if name not in second
    ]
    problems += [f"{path}: a mask without images" for name, path in masks.items() if name not in first and name not in second]
    pairs = []
    for name in names:
        if name not in first or name not in second or name not in masks:
            continue
        try:
            check_same_size(first[name], second[name])
            check_same_size(first[name], masks[name])
        except InputError as error:
            problems.append(str(error))
        pairs.append(PairFiles(name, first[name], second[name], masks[name]))
    if problems:
        hint = "repair them, or leave pairs out with --exclude NAME (wildcards allowed)"
        raise InputError("\n".join([f"{root}: {len(problems)} file(s) cannot be used; {hint}", *problems]))
    if not pairs:
        raise InputError(f"{root}: no pair with a mask in {', '.join(folder.name for folder in layout)}")
    if unlabelled:
        warnings.warn(f"{root}: {len(unlabelled)} pair(s) without a mask are left out: {', '.join(unlabelled)}", stacklevel=3)
    return pairs


def _by_stem(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise InputError(f"{path}: two images of one name, the other is {files[path.stem].name}; keep one")
        files[path.stem] = path
    return files


def _contents(root: Path) -> str:
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in root.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"

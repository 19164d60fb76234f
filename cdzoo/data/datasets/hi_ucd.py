"""Hi-UCD: land cover and change in aerial images of Tallinn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.info import DatasetInfo
from cdzoo.data.labels import LandCover, Maps
from cdzoo.data.layout import LISTS
from cdzoo.data.listing import SPLITS, PairFiles, list_folders, usable_pairs
from cdzoo.data.palette import RGB, Palette, read_labels
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol

CITATION = """\
@article{tian2022hiucd,
  author = {Tian, Shiqi and Zhong, Yanfei and Zheng, Zhuo and Ma, Ailong and Tan, Xicheng and Zhang, Liangpei},
  title = {Large-scale deep learning based binary and semantic change detection in ultra high resolution remote sensing imagery:
    From benchmark datasets to urban application},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  year = {2022},
  doi = {10.1016/j.isprsjprs.2022.08.012}
}"""

COLORS: dict[str, RGB] = {
    "water": (0, 153, 255),
    "grass": (202, 255, 122),
    "building": (230, 0, 0),
    "greenhouse": (230, 0, 255),
    "road": (255, 230, 0),
    "bridge": (255, 181, 197),
    "others": (0, 255, 230),
    "bare land": (175, 122, 255),
    "woodland": (26, 255, 0),
}
CHANGE = Palette("Hi-UCD (0 unlabeled, 1 unchanged, 2 changed)", {0: IGNORE_INDEX, 1: 0, 2: 1})


@dataclass(frozen=True)
class ThreeBands(LandCover):
    """Land cover of both dates and change in the three bands of one file."""

    def load(self, pair: PairFiles) -> Maps:
        """Read the bands."""
        pixels, _ = read_labels(pair.mask)
        if pixels.ndim != 3:
            raise InputError(f"{pair.mask}: one band; expected three: land cover of both dates, and change")
        palettes = {"t1": self.palette, "t2": self.palette, "change": CHANGE}
        return {
            name: palette.classes(pair.mask, np.ascontiguousarray(pixels[..., band]), f"band {band + 1} ({name})")
            for band, (name, palette) in enumerate(palettes.items())
        }


LABELS = ThreeBands(
    tuple(COLORS),
    Palette("Hi-UCD", {0: IGNORE_INDEX} | {number: number for number in range(1, len(COLORS) + 1)}),
    tuple(COLORS.values()),
    everywhere=True,
)


def read_files(root: Path, split: str) -> list[PairFiles]:
    """Return the pairs of a split: of the folder of that name, or of its list file.

    Labels are in `mask_merge/YEAR_YEAR` or `mask/YEAR_YEAR`, images in `YEAR` or `image/YEAR`, in equal subfolders.

    Raises:
        InputError: The split, a folder or a file is missing.
    """
    base = next((root / name for name in SPLITS[split] if (root / name).is_dir()), root)
    lists = [root / pattern.format(name) for pattern in (*LISTS, "{}_list.txt") for name in SPLITS[split]]
    names = next((file for file in lists if file.is_file()), None) if base == root else None
    if base == root and names is None:
        raise InputError(f"{root}: no folder {split}/ and no list file list/{split}.txt of the split '{split}'")
    labels = next((base / name for name in ("mask_merge", "mask") if (base / name).is_dir()), None)
    images = base / "image" if (base / "image").is_dir() else base
    if labels is None:
        raise InputError(f"{base}: no folder mask_merge/ or mask/ of labels")
    pairs: list[PairFiles] = []
    for years in sorted(labels.glob("*_*")):
        before, after = (images / year for year in years.name.split("_", 1))
        for folder in sorted({file.parent for file in years.rglob("*") if file.is_file()}):
            part = folder.relative_to(years)
            found = usable_pairs(list_folders(base, (before / part, after / part), (folder,), names=names))
            prefix = "_".join((years.name, *part.parts))
            pairs += [PairFiles(f"{prefix}_{pair.name}", pair.images, pair.mask) for pair in found]
    return pairs


DATASET = DatasetInfo(
    name="hi_ucd",
    title="Hi-UCD",
    description="Land cover, 9 classes, and change of Tallinn in 40800 aerial pairs, 2018 and 2019",
    resolution="0.1",
    splits={"train": 12000, "val": 7200},
    image_size=512,
    protocols=(Protocol("hi_ucd_512", "hi_ucd", metric="sek"),),
    paper="Tian et al., ISPRS J. 193 (2022) 164-186, doi 10.1016/j.isprsjprs.2022.08.012",
    homepage="https://github.com/Daisy-7/Hi-UCD-S",
    files="from the authors, see the homepage; the training images were replaced on 1 November 2025",
    layout="image/2018/, image/2019/ and mask/2018_2019/ in train/ and val/, or in one folder with list/train.txt, list/val.txt",
    citation=CITATION,
    labels=LABELS,
    reader=read_files,
)

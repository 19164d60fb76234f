"""HRSCD: land cover and change in aerial images of two French departments, 2006 and 2012."""

from __future__ import annotations

import re
from pathlib import Path

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.info import DatasetInfo
from cdzoo.data.labels import LandCover
from cdzoo.data.listing import PairFiles, list_folders, usable_pairs
from cdzoo.data.palette import Palette
from cdzoo.data.splits import random_split
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol

CITATION = """\
@article{daudt2019hrscd,
  author = {Daudt, Rodrigo Caye and Le Saux, Bertrand and Boulch, Alexandre and Gousseau, Yann},
  title = {Multitask learning for large-scale semantic change detection},
  journal = {Computer Vision and Image Understanding},
  year = {2019},
  doi = {10.1016/j.cviu.2019.07.003}
}"""

CLASSES = ("artificial surfaces", "agricultural areas", "forests", "wetlands", "water")
_DEPARTMENTS = ("D14", "D35")
_FOLDERS = (
    "images_2006/2006",
    "images_2012/2012",
    "labels_land_cover_2006/2006",
    "labels_land_cover_2012/2012",
    "labels_change/change",
)
_NAME = re.compile(r"(\d{2})-\d{4}-(\d{4})-(\d{4})-.*")


def sample_name(stem: str) -> str | None:
    """Return `14_0415x6890` of a file such as `14-2012-0415-6890-LA93-0M50-E080`; the dates of a pair have different names."""
    match = _NAME.fullmatch(stem)
    return f"{match[1]}_{match[2]}x{match[3]}" if match else None


def read_files(root: Path, split: str) -> list[PairFiles]:
    """Return the pairs of a split, chosen by a hash of the department and the coordinates.

    Raises:
        InputError: A folder or a file is missing; all missing files are listed.
    """
    departments = [name for name in _DEPARTMENTS if (root / _FOLDERS[0] / name).is_dir()]
    if not departments:
        raise InputError(f"{root}: no {_FOLDERS[0]}/{_DEPARTMENTS[0]} or {_DEPARTMENTS[1]}; unpack all archives to this folder")
    pairs: list[PairFiles] = []
    for name in departments:
        folders = [root / folder / name for folder in _FOLDERS]
        pairs += usable_pairs(list_folders(root, folders[:2], folders[2:], keys=[sample_name] * len(folders)))
    return [pair for pair in pairs if random_split(pair.name) == split]


LABELS = LandCover(
    CLASSES,
    Palette("HRSCD", {0: IGNORE_INDEX} | {number: number for number in range(1, 6)}),
    everywhere=True,
)

DATASET = DatasetInfo(
    name="hrscd",
    title="HRSCD",
    description="Land cover of all pixels and change, 5 classes, in 291 aerial pairs of Normandy and Brittany, 2006 and 2012",
    resolution="0.5",
    splits={},
    image_size=10000,
    protocols=(Protocol("hrscd_512", "hrscd", tile=512, metric="sek"),),
    paper="Daudt et al., Computer Vision and Image Understanding 187 (2019) 102783, doi 10.1016/j.cviu.2019.07.003",
    homepage="https://rcdaudt.github.io/hrscd/",
    files="images and labels of both dates and of change, from IEEE DataPort (requires an account)",
    layout="the unpacked archives in one folder: " + ", ".join(f"{folder}/" for folder in _FOLDERS) + ", each with D14/ and D35/",
    citation=CITATION,
    split_at_random=True,
    labels=LABELS,
    reader=read_files,
)

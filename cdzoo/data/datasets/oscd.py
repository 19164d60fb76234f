"""OSCD: urban change in Sentinel-2 images, one folder per city."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from cdzoo.data.info import DatasetInfo
from cdzoo.data.listing import PairFiles
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol

CITATION = """\
@article{daudt2018oscd,
  author = {Daudt, Rodrigo Caye and Le Saux, Bertrand and Boulch, Alexandre and Gousseau, Yann},
  title = {Urban Change Detection for Multispectral Earth Observation Using Convolutional Neural Networks},
  journal = {IGARSS},
  year = {2018},
  doi = {10.1109/IGARSS.2018.8518015}
}"""


_RGB = ("pair/img1.png", "pair/img2.png", "cm/cm.png")  # both dates and the mask of a city
_ALL_BANDS = ("imgs_1_rect", "imgs_2_rect", "cm/cm.png")  # dates as folders with one file per band, registered, at 10 m


def read_files(root: Path, split: str, files: tuple[str, ...] = _RGB) -> list[PairFiles]:
    """Return the images and masks of a split; by default the RGB renderings.

    Files are searched in all subfolders of `root`, because the archives unpack to folders with long names.

    Raises:
        InputError: The list of cities or any of the files is missing; all missing files are listed.
    """
    lists = sorted(root.rglob(f"{split}.txt"))
    if not lists:
        raise InputError(f"{root}: no {split}.txt, the list of the cities of '{split}', in any of its subfolders")
    names = lists[0].read_text(encoding="utf-8-sig").replace("\n", ",").split(",")
    cities = [city.strip() for city in names if city.strip()]
    found: dict[str, list[Any]] = {city: [min(root.rglob(f"{city}/{file}"), default=None) for file in files] for city in cities}
    missing = [f"{city}/{file}" for city, paths in found.items() for file, path in zip(files, paths, strict=True) if not path]
    if missing:
        raise InputError(f"{root}: missing: {', '.join(missing)}; unpack the images and the {split} labels below this folder")
    return [PairFiles(city, (before, after), mask) for city, (before, after, mask) in found.items()]


DATASET = DatasetInfo(
    name="oscd",
    title="OSCD",
    description="Urban change in 24 pairs of Sentinel-2 images worldwide, 2015 to 2018; RGB renderings or 13 bands",
    resolution="10",
    splits={"train": 14, "test": 10},
    image_size=None,
    protocols=(Protocol("oscd_whole", "oscd"),),
    paper="Daudt et al., IGARSS 2018, doi 10.1109/IGARSS.2018.8518015",
    homepage="https://rcdaudt.github.io/oscd/",
    files="the images, the train labels and the test labels, from IEEE DataPort (requires an account)",
    layout="the unpacked archives in one folder; cities, train.txt and test.txt are found in its subfolders",
    citation=CITATION,
    reader=read_files,
    readers={13: functools.partial(read_files, files=_ALL_BANDS)},
)

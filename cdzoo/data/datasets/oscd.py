"""OSCD: urban change in 24 pairs of Sentinel-2 around the world, 2015 to 2018; RGB renderings here."""

from __future__ import annotations

from pathlib import Path

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.data.layout import PairFiles
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "daudt2018oscd",
    "Daudt, Rodrigo Caye and Le Saux, Bertrand and Boulch, Alexandre and Gousseau, Yann",
    "Urban Change Detection for Multispectral Earth Observation Using Convolutional Neural Networks",
    "IGARSS",
    2018,
    "10.1109/IGARSS.2018.8518015",
)

LISTS = {"train": "train.txt", "test": "test.txt"}


def read_oscd(root: Path, split: str) -> list[PairFiles]:
    """Return the RGB pairs (`CITY/pair/img1.png`, `img2.png`) of a split with their masks (`CITY/cm/cm.png`).

    Cities are looked for anywhere below `root`, as the archives unpack to folders with long names.

    Raises:
        InputError: The list of cities or one of their files is missing; all of them are named.
    """
    lists = sorted(root.rglob(LISTS.get(split, f"{split}.txt")))
    if not lists:
        raise InputError(f"{root}: no {LISTS.get(split, split + '.txt')} anywhere below it, which lists the cities of '{split}'")
    cities = [city.strip() for city in lists[0].read_text(encoding="utf-8").replace("\n", ",").split(",") if city.strip()]
    pairs, missing = [], []
    for city in cities:
        files = []
        for name in (f"{city}/pair/img1.png", f"{city}/pair/img2.png", f"{city}/cm/cm.png"):
            found = sorted(root.rglob(name))
            if found:
                files.append(found[0])
            else:
                missing.append(name)
        if len(files) == 3:
            pairs.append(PairFiles(city, *files))
    if missing:
        raise InputError(f"{root}: missing: {', '.join(missing)}; unpack the images and the {split} labels below this folder")
    return pairs


DATASET = DatasetInfo(
    name="oscd",
    title="OSCD",
    description="Urban change in 24 pairs of Sentinel-2 around the world, 2015 to 2018; RGB renderings here",
    resolution="10",
    splits={"train": 14, "test": 10},
    image_size=None,
    paper="Daudt et al., IGARSS 2018, doi 10.1109/IGARSS.2018.8518015",
    homepage="https://rcdaudt.github.io/oscd/",
    files="the images, the train labels and the test labels, from IEEE DataPort (after signing in)",
    layout="the unpacked archives side by side; cities, train.txt and test.txt are found below",
    citation=CITATION,
    reader=read_oscd,
    protocols=(Protocol("oscd_whole", "oscd"),),
)

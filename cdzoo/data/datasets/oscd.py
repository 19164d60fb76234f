"""The folders of OSCD: one per city, RGB renderings beside the bands, labels in a folder of their own."""

from __future__ import annotations

from pathlib import Path

from cdzoo.data.layout import PairFiles
from cdzoo.errors import InputError

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

"""False alarms of the offset that is told from dark ground, on a data set of Sentinel-2 images without an offset.

Usage: python benchmarks/dark_ground.py FOLDER, with FOLDER/CITY/imgs_1 and imgs_2 of OSCD: one GeoTIFF for each band.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from cdzoo.io.reflectance import DarkGround, dark_ground, date_offsets

BANDS = {
    "all 13": [f"B{number:02d}" for number in range(1, 13)] + ["B8A"],
    "10 and 20 m": ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"],
    "10 m": ["B02", "B03", "B04", "B08"],
    "B04, B03, B02": ["B04", "B03", "B02"],
}


def read(folder: Path, shape: tuple[int, int] = (512, 512)) -> dict[str, np.ndarray[Any, np.dtype[np.uint16]]]:
    """Return each band of a date, at one size."""
    found = {}
    for file in folder.glob("B*.tif"):
        with rasterio.open(file) as source:
            found[file.stem] = source.read(1, out_shape=shape)
    return found


def ground(bands: dict[str, Any], names: Sequence[str], offset: int) -> DarkGround | None:
    """Return the darkest ground of a date with an offset added."""
    pixels = np.stack([bands[name] for name in names], -1)
    return dark_ground(np.where((pixels > 0).any(-1, keepdims=True), pixels + np.uint16(offset), 0).astype(np.uint16))


def main() -> None:
    """Print a row for each set of bands and each made case."""
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    cities = sorted(city for city in Path(sys.argv[1]).iterdir() if (city / "imgs_2").is_dir())
    pairs = [(read(city / "imgs_1"), read(city / "imgs_2")) for city in cities]
    print(f"{len(pairs)} pairs: bands, offset added to the dates, pairs named, images told: no offset, offset, cannot tell")
    for label, names in BANDS.items():
        for added in ((0, 0), (1000, 0), (0, 1000), (1000, 1000)):
            found = [
                date_offsets(*(ground(date, names, offset) for date, offset in zip(pair, added, strict=True))) for pair in pairs
            ]
            told = [one for each in found for one in each.found]
            right = sum(each.found == (added[0] > 0, added[1] > 0) for each in found)
            named = sum(each.differ for each in found)
            counts = [told.count(value) for value in (False, True, None)]
            wrong = sum(
                one is not None and one != bool(offset) for each in found for one, offset in zip(each.found, added, strict=True)
            )
            print(f"{label:15}{added!s:14}{named:4} {counts!s:14} both dates right {right}, images wrong {wrong}")


if __name__ == "__main__":
    main()

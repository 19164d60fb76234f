"""S2Looking: buildings in rural areas of the world, seen from the side, 2017 to 2020."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "shen2021s2looking",
    "Shen, Li and others",
    "S2Looking: A Satellite Side-Looking Dataset for Building Change Detection",
    "Remote Sensing",
    2021,
    "10.3390/rs13245094",
)
DATASET = DatasetInfo(
    name="s2looking",
    title="S2Looking",
    description="Buildings in rural areas of the world, seen from the side, 2017 to 2020",
    resolution="0.5 to 0.8",
    splits={"train": 3500, "val": 500, "test": 1000},
    image_size=1024,
    paper="Shen et al., Remote Sensing 13 (2021) 5094, doi 10.3390/rs13245094",
    homepage="https://github.com/S2Looking/Dataset",
    files="S2Looking.zip, on the file hosts that the page links to (Google Drive, Baidu Disk)",
    layout="train/, val/ and test/, each with Image1/, Image2/ and label/",
    citation=CITATION,
    protocols=(
        Protocol("s2looking_1024", "s2looking"),
        Protocol("s2looking_256", "s2looking", tile=256),
    ),
)

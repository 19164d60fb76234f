"""LEVIR-CD: buildings that appear or disappear in 20 regions of Texas, 2002 to 2018."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "chen2020levir",
    "Chen, Hao and Shi, Zhenwei",
    "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change Detection",
    "Remote Sensing",
    2020,
    "10.3390/rs12101662",
)
DATASET = DatasetInfo(
    name="levir_cd",
    title="LEVIR-CD",
    description="Buildings that appear or disappear in 20 regions of Texas, 2002 to 2018",
    resolution="0.5",
    splits={"train": 445, "val": 64, "test": 128},
    image_size=1024,
    license="academic use only",
    paper="Chen and Shi, Remote Sensing 12 (2020) 1662, doi 10.3390/rs12101662",
    homepage="https://justchenhao.github.io/LEVIR/",
    files="train.zip, val.zip, test.zip, on the file hosts that the page links to (Google Drive, Baidu Disk)",
    citation=CITATION,
    protocols=(
        Protocol("levir_256", "levir_cd", tile=256),
        Protocol("levir_1024_whole", "levir_cd"),
        Protocol("levir_1024_windows", "levir_cd", window=256, overlap=128),
    ),
)

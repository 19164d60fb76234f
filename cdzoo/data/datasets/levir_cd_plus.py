"""LEVIR-CD+: lEVIR-CD and more of its kind; no validation split."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo
from cdzoo.data.datasets.s2looking import CITATION
from cdzoo.protocol import Protocol

DATASET = DatasetInfo(
    name="levir_cd_plus",
    title="LEVIR-CD+",
    description="LEVIR-CD and more of its kind; no validation split",
    resolution="0.5",
    splits={"train": 637, "test": 348},
    image_size=1024,
    paper="Shen et al., Remote Sensing 13 (2021) 5094, doi 10.3390/rs13245094",
    homepage="https://github.com/S2Looking/Dataset",
    files="LEVIR-CD+.zip, on the file hosts that the page links to (Google Drive, Baidu Disk)",
    layout="train/ and test/, each with A/, B/ and label/",
    citation=CITATION,
    protocols=(
        Protocol("levir_plus_256", "levir_cd_plus", tile=256),
        Protocol("levir_plus_1024_whole", "levir_cd_plus"),
    ),
)

"""CDD: objects of all sizes across seasons, whose own changes do not count."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "lebedev2018cdd",
    "Lebedev, M. A. and Vizilter, Y. V. and Vygolov, O. V. and Knyaz, V. A. and Rubis, A. Y.",
    "Change Detection in Remote Sensing Images Using Conditional Adversarial Networks",
    "ISPRS Archives",
    2018,
    "10.5194/isprs-archives-XLII-2-565-2018",
)
DATASET = DatasetInfo(
    name="cdd",
    title="CDD",
    description="Objects of all sizes across seasons, whose own changes do not count",
    resolution="0.03 to 1",
    splits={"train": 10000, "val": 3000, "test": 3000},
    image_size=256,
    paper="Lebedev et al., ISPRS Archives XLII-2 (2018) 565, doi 10.5194/isprs-archives-XLII-2-565-2018",
    homepage="https://isprs-archives.copernicus.org/articles/XLII-2/565/2018/",
    files=(
        "the subset of real images; the paper links to it, on the file hosts that the page links to (Google Drive, Baidu Disk). "
        "One common copy has 2998 validation pairs"
    ),
    layout="train/, val/ and test/, each with A/, B/ and OUT/",
    citation=CITATION,
    protocols=(Protocol("cdd_256", "cdd"),),
)

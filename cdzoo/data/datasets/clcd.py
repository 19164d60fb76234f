"""CLCD: cropland that becomes buildings, roads, lakes or bare soil in Guangdong, 2017 to 2019."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "liu2022clcd",
    "Liu, Mengxi and Chai, Zhuoqun and Deng, Haojun and Liu, Rong",
    "A CNN-Transformer Network With Multiscale Context Aggregation for Fine-Grained Cropland Change Detection",
    "IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing",
    2022,
    "10.1109/JSTARS.2022.3177235",
)
DATASET = DatasetInfo(
    name="clcd",
    title="CLCD",
    description="Cropland that becomes buildings, roads, lakes or bare soil in Guangdong, 2017 to 2019",
    resolution="0.5 to 2",
    splits={"train": 360, "val": 120, "test": 120},
    image_size=512,
    paper="Liu et al., IEEE JSTARS 15 (2022), doi 10.1109/JSTARS.2022.3177235",
    homepage="https://github.com/liumency/CropLand-CD",
    files="CLCD.zip, on the file hosts that the page links to (Google Drive, Baidu Disk)",
    layout="train/, val/ and test/, each with time1/, time2/ and label/",
    citation=CITATION,
    protocols=(
        Protocol("clcd_512", "clcd"),
        Protocol("clcd_256", "clcd", tile=256),
    ),
)

"""SYSU-CD: buildings, roads, vegetation, sea construction in Hong Kong, 2007 to 2014."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "shi2022sysu",
    "Shi, Qian and Liu, Mengxi and Li, Shengchen and Liu, Xiaoping and Wang, Fei and Zhang, Liangpei",
    "A Deeply Supervised Attention Metric-Based Network and an Open Aerial Image Dataset for Remote Sensing Change Detection",
    "IEEE Transactions on Geoscience and Remote Sensing",
    2022,
    "10.1109/TGRS.2021.3085870",
)
DATASET = DatasetInfo(
    name="sysu_cd",
    title="SYSU-CD",
    description="Buildings, roads, vegetation, sea construction in Hong Kong, 2007 to 2014",
    resolution="0.5",
    splits={"train": 12000, "val": 4000, "test": 4000},
    image_size=256,
    paper="Shi et al., IEEE TGRS 60 (2022), doi 10.1109/TGRS.2021.3085870",
    homepage="https://github.com/liumency/SYSU-CD",
    files="the training, validation and test archives, on the file hosts that the page links to (Google Drive, Baidu Disk)",
    layout="train/, val/ and test/, each with time1/, time2/ and label/",
    citation=CITATION,
    protocols=(Protocol("sysu_256", "sysu_cd"),),
)

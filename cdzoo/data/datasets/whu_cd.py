"""WHU-CD (official areas): buildings of Christchurch after the earthquake, 2012 and 2016: one aerial image of each area."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "ji2019whu",
    "Ji, Shunping and Wei, Shiqing and Lu, Meng",
    "Fully Convolutional Networks for Multisource Building Extraction From an Open Aerial and Satellite Imagery Data Set",
    "IEEE Transactions on Geoscience and Remote Sensing",
    2019,
    "10.1109/TGRS.2018.2858817",
)
DATASET = DatasetInfo(
    name="whu_cd",
    title="WHU-CD (official areas)",
    description="Buildings of Christchurch after the earthquake, 2012 and 2016: one aerial image of each area",
    resolution="0.2",
    splits={"train": 1, "test": 1},
    image_size=None,
    paper="Ji et al., IEEE TGRS 57 (2019) 574, doi 10.1109/TGRS.2018.2858817",
    homepage="http://gpcv.whu.edu.cn/data/building_dataset.html",
    files="the building change detection data set (before, after and change label as TIFF)",
    layout="train/ and test/, each with A/, B/ and label/ of one TIFF; cut it first with cdzoo data prepare whu_cd",
    citation=CITATION,
    protocols=(Protocol("whu_256", "whu_cd", tile=256),),
)

"""DSIFN-CD: roads, buildings, cropland and water in six Chinese cities."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "zhang2020dsifn",
    "Zhang, Chenxiao and others",
    "A deeply supervised image fusion network for change detection in high resolution bi-temporal remote sensing images",
    "ISPRS Journal of Photogrammetry and Remote Sensing",
    2020,
    "10.1016/j.isprsjprs.2020.06.003",
)
DATASET = DatasetInfo(
    name="dsifn_cd",
    title="DSIFN-CD",
    description="Roads, buildings, cropland and water in six Chinese cities",
    resolution="2",
    splits={"train": 3600, "val": 340, "test": 48},
    image_size=512,
    paper="Zhang et al., ISPRS Journal 166 (2020) 183, doi 10.1016/j.isprsjprs.2020.06.003",
    homepage="https://github.com/GeoZcx/A-deeply-supervised-image-fusion-network-for-change-detection-in-remote-sensing-images",
    files="the training, validation and test archives, on the file hosts that the page links to (Google Drive, Baidu Disk)",
    layout="train/, val/ and test/, each with t1/, t2/ and mask/",
    citation=CITATION,
    protocols=(Protocol("dsifn_256", "dsifn_cd", tile=256),),
)

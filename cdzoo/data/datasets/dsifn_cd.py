"""DSIFN-CD: changes of several categories in six Chinese cities."""

from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{zhang2020dsifn,
  author = {Zhang, Chenxiao and others},
  title = {A deeply supervised image fusion network for change detection in high resolution bi-temporal remote sensing images},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  year = {2020},
  doi = {10.1016/j.isprsjprs.2020.06.003}
}"""

DATASET = DatasetInfo(
    name="dsifn_cd",
    title="DSIFN-CD",
    description="Roads, buildings, cropland and water in six Chinese cities",
    resolution="2",
    splits={"train": 3600, "val": 340, "test": 48},
    image_size=512,
    protocols=(Protocol("dsifn_256", "dsifn_cd", tile=256),),
    paper="Zhang et al., ISPRS Journal 166 (2020) 183, doi 10.1016/j.isprsjprs.2020.06.003",
    homepage="https://github.com/GeoZcx/A-deeply-supervised-image-fusion-network-for-change-detection-in-remote-sensing-images",
    files=f"the training, validation and test archives, {FILE_HOSTS}",
    layout="train/, val/ and test/, each with t1/, t2/ and mask/",
    folders=("t1", "t2", "mask"),
    citation=CITATION,
)

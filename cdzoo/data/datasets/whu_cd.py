"""WHU-CD with its official training and test areas."""

from cdzoo.data.info import DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{ji2019whu,
  author = {Ji, Shunping and Wei, Shiqing and Lu, Meng},
  title = {Fully Convolutional Networks for Multisource Building Extraction From an Open Aerial and Satellite Imagery Data Set},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  year = {2019},
  doi = {10.1109/TGRS.2018.2858817}
}"""

DATASET = DatasetInfo(
    name="whu_cd",
    title="WHU-CD (official areas)",
    description="Buildings of Christchurch after the earthquake, 2012 and 2016: one aerial image per area",
    resolution="0.2",
    splits={"train": 1, "test": 1},
    image_size=None,
    protocols=(Protocol("whu_256", "whu_cd", tile=256),),
    paper="Ji et al., IEEE TGRS 57 (2019) 574, doi 10.1109/TGRS.2018.2858817",
    homepage="http://gpcv.whu.edu.cn/data/building_dataset.html",
    files="the building change detection data set (before, after and change label as TIFF)",
    layout="train/ and test/, each with A/, B/ and label/ of one TIFF; cut it into tiles with cdzoo data prepare whu_cd first",
    citation=CITATION,
)

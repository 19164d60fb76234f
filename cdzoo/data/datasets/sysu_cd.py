"""SYSU-CD: changes of several categories in Hong Kong."""

from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{shi2022sysu,
  author = {Shi, Qian and Liu, Mengxi and Li, Shengchen and Liu, Xiaoping and Wang, Fei and Zhang, Liangpei},
  title = {A Deeply Supervised Attention Metric-Based Network and an Open Aerial Image Dataset for Remote Sensing
    Change Detection},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  year = {2022},
  doi = {10.1109/TGRS.2021.3085870}
}"""

DATASET = DatasetInfo(
    name="sysu_cd",
    title="SYSU-CD",
    description="Buildings, roads, vegetation, sea construction in Hong Kong, 2007 to 2014",
    resolution="0.5",
    splits={"train": 12000, "val": 4000, "test": 4000},
    image_size=256,
    protocols=(Protocol("sysu_256", "sysu_cd"),),
    paper="Shi et al., IEEE TGRS 60 (2022), doi 10.1109/TGRS.2021.3085870",
    homepage="https://github.com/liumency/SYSU-CD",
    files=f"the training, validation and test archives, {FILE_HOSTS}",
    layout="train/, val/ and test/, each with time1/, time2/ and label/",
    citation=CITATION,
)

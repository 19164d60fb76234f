"""CLCD: cropland change in Guangdong."""

from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{liu2022clcd,
  author = {Liu, Mengxi and Chai, Zhuoqun and Deng, Haojun and Liu, Rong},
  title = {A CNN-Transformer Network With Multiscale Context Aggregation for Fine-Grained Cropland Change Detection},
  journal = {IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing},
  year = {2022},
  doi = {10.1109/JSTARS.2022.3177235}
}"""

DATASET = DatasetInfo(
    name="clcd",
    title="CLCD",
    description="Cropland that becomes buildings, roads, lakes or bare soil in Guangdong, 2017 to 2019",
    resolution="0.5 to 2",
    splits={"train": 360, "val": 120, "test": 120},
    image_size=512,
    protocols=(Protocol("clcd_512", "clcd"), Protocol("clcd_256", "clcd", tile=256)),
    paper="Liu et al., IEEE JSTARS 15 (2022), doi 10.1109/JSTARS.2022.3177235",
    homepage="https://github.com/liumency/CropLand-CD",
    files=f"CLCD.zip, {FILE_HOSTS}",
    layout="train/, val/ and test/, each with time1/, time2/ and label/",
    citation=CITATION,
)

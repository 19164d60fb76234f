"""CDD: objects of all sizes across seasons."""

from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{lebedev2018cdd,
  author = {Lebedev, M. A. and Vizilter, Y. V. and Vygolov, O. V. and Knyaz, V. A. and Rubis, A. Y.},
  title = {Change Detection in Remote Sensing Images Using Conditional Adversarial Networks},
  journal = {ISPRS Archives},
  year = {2018},
  doi = {10.5194/isprs-archives-XLII-2-565-2018}
}"""

DATASET = DatasetInfo(
    name="cdd",
    title="CDD",
    description="Objects of all sizes across seasons; seasonal changes are not labeled",
    resolution="0.03 to 1",
    splits={"train": 10000, "val": 3000, "test": 3000},
    image_size=256,
    protocols=(Protocol("cdd_256", "cdd"),),
    paper="Lebedev et al., ISPRS Archives XLII-2 (2018) 565, doi 10.5194/isprs-archives-XLII-2-565-2018",
    homepage="https://isprs-archives.copernicus.org/articles/XLII-2/565/2018/",
    files=f"the subset of real images, {FILE_HOSTS}. One common copy has 2998 validation pairs",
    layout="train/, val/ and test/, each with A/, B/ and OUT/",
    folders=("A", "B", "OUT"),
    citation=CITATION,
)

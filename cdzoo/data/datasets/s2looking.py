"""S2Looking: building change in side-looking satellite images."""

from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{shen2021s2looking,
  author = {Shen, Li and others},
  title = {S2Looking: A Satellite Side-Looking Dataset for Building Change Detection},
  journal = {Remote Sensing},
  year = {2021},
  doi = {10.3390/rs13245094}
}"""

DATASET = DatasetInfo(
    name="s2looking",
    title="S2Looking",
    description="Buildings in rural areas worldwide in side-looking satellite images, 2017 to 2020",
    resolution="0.5 to 0.8",
    splits={"train": 3500, "val": 500, "test": 1000},
    image_size=1024,
    protocols=(Protocol("s2looking_1024", "s2looking"), Protocol("s2looking_256", "s2looking", tile=256)),
    paper="Shen et al., Remote Sensing 13 (2021) 5094, doi 10.3390/rs13245094",
    homepage="https://github.com/S2Looking/Dataset",
    files=f"S2Looking.zip, {FILE_HOSTS}",
    layout="train/, val/ and test/, each with Image1/, Image2/ and label/",
    folders=("Image1", "Image2", "label"),
    citation=CITATION,
)

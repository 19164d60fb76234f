"""LEVIR-CD: building change in aerial images of Texas."""

from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{chen2020levir,
  author = {Chen, Hao and Shi, Zhenwei},
  title = {A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change Detection},
  journal = {Remote Sensing},
  year = {2020},
  doi = {10.3390/rs12101662}
}"""

DATASET = DatasetInfo(
    name="levir_cd",
    title="LEVIR-CD",
    description="Buildings that appear or disappear in 20 regions of Texas, 2002 to 2018",
    resolution="0.5",
    splits={"train": 445, "val": 64, "test": 128},
    image_size=1024,
    protocols=(
        Protocol("levir_256", "levir_cd", tile=256),
        Protocol("levir_1024_whole", "levir_cd"),
        Protocol("levir_1024_windows", "levir_cd", window=256, overlap=128),
    ),
    license="academic use only",
    paper="Chen and Shi, Remote Sensing 12 (2020) 1662, doi 10.3390/rs12101662",
    homepage="https://justchenhao.github.io/LEVIR/",
    files=f"train.zip, val.zip, test.zip, {FILE_HOSTS}",
    citation=CITATION,
)

"""LEVIR-CD+: extension of LEVIR-CD without a validation split."""

from cdzoo.data.datasets.s2looking import CITATION
from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

DATASET = DatasetInfo(
    name="levir_cd_plus",
    title="LEVIR-CD+",
    description="LEVIR-CD with more images; no validation split",
    resolution="0.5",
    splits={"train": 637, "test": 348},
    image_size=1024,
    protocols=(Protocol("levir_plus_256", "levir_cd_plus", tile=256), Protocol("levir_plus_1024_whole", "levir_cd_plus")),
    paper="Shen et al., Remote Sensing 13 (2021) 5094, doi 10.3390/rs13245094",
    homepage="https://github.com/S2Looking/Dataset",
    files=f"LEVIR-CD+.zip, {FILE_HOSTS}",
    layout="train/ and test/, each with A/, B/ and label/",
    citation=CITATION,
)

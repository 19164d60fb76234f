"""WHU-CD in 256x256 tiles with a random split, as most papers use it."""

from cdzoo.data.datasets import whu_cd
from cdzoo.data.info import DatasetInfo
from cdzoo.protocol import Protocol

DATASET = DatasetInfo(
    name="whu_cd_811",
    title="WHU-CD (random 8:1:1)",
    description="WHU-CD in 256x256 tiles split at random, as in most papers (6096, 762, 762)",
    resolution="0.2",
    splits={"train": 6096, "val": 762, "test": 762},
    image_size=256,
    protocols=(Protocol("whu_811_256", "whu_cd_811", tile=256),),
    paper=whu_cd.DATASET.paper,
    homepage=whu_cd.DATASET.homepage,
    files="tiles of 256x256 in A/, B/ and label/; list files of a published split (list/train.txt, ...) are used if present",
    layout="A/, B/ and label/, with or without list/*.txt",
    split_at_random=True,
    citation=whu_cd.CITATION,
)

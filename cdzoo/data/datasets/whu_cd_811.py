"""WHU-CD (random 8:1:1): the same images cut into 256x256 and split at random, as most papers do (6096, 762, 762)."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo
from cdzoo.data.datasets.whu_cd import CITATION
from cdzoo.protocol import Protocol

DATASET = DatasetInfo(
    name="whu_cd_811",
    title="WHU-CD (random 8:1:1)",
    description="The same images cut into 256x256 and split at random, as most papers do (6096, 762, 762)",
    resolution="0.2",
    splits={"train": 6096, "val": 762, "test": 762},
    image_size=256,
    paper="Ji et al., IEEE TGRS 57 (2019) 574, doi 10.1109/TGRS.2018.2858817",
    homepage="http://gpcv.whu.edu.cn/data/building_dataset.html",
    files="tiles of 256x256 in A/, B/ and label/; lists of others' splits (list/train.txt, ...) are used when they are there",
    layout="A/, B/ and label/, with list/*.txt or without",
    split_at_random=True,
    citation=CITATION,
    protocols=(Protocol("whu_811_256", "whu_cd_811", tile=256),),
)

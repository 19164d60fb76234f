"""Hi-UCD mini: the smaller edition of Hi-UCD."""

from dataclasses import replace

from cdzoo.data.datasets import hi_ucd
from cdzoo.protocol import Protocol

DATASET = replace(
    hi_ucd.DATASET,
    name="hi_ucd_mini",
    title="Hi-UCD mini",
    description="Land cover, 9 classes, and change of Tallinn in 745 aerial pairs, 2017 to 2019",
    splits={"train": 300, "val": 59, "test": 386},
    image_size=1024,
    protocols=(Protocol("hi_ucd_mini_512", "hi_ucd_mini", tile=512, metric="sek"),),
    layout="train/ and val/ with 2017/9/, 2018/9/ and mask_merge/2017_2018/9/; test/ likewise for 2018 and 2019",
)

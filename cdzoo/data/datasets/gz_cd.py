"""GZ-CD: buildings in the suburbs of Guangzhou, 2006 to 2019; 19 pairs of different sizes, no official split."""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo, bibtex
from cdzoo.protocol import Protocol

CITATION = bibtex(
    "peng2021semicdnet",
    "Peng, Daifeng and Bruzzone, Lorenzo and Zhang, Yongjun and Guan, Haiyan and Ding, Haiyong and Huang, Xu",
    "SemiCDNet: A Semisupervised Convolutional Neural Network for Change Detection in High Resolution Remote-Sensing Images",
    "IEEE Transactions on Geoscience and Remote Sensing",
    2021,
    "10.1109/TGRS.2020.3011913",
)
DATASET = DatasetInfo(
    name="gz_cd",
    title="GZ-CD",
    description="Buildings in the suburbs of Guangzhou, 2006 to 2019; 19 pairs of different sizes, no official split",
    resolution="0.55",
    splits={},
    image_size=None,
    paper="Peng et al., IEEE TGRS 59 (2021), doi 10.1109/TGRS.2020.3011913",
    homepage="https://github.com/daifeng2016/Change-Detection-Dataset-for-High-Resolution-Satellite-Imagery",
    files="the image pairs and labels, on the file hosts that the page links to (Google Drive, Baidu Disk)",
    layout="A/, B/ and label/ of the 19 pairs, or train/, val/ and test/ of a split of your own",
    split_at_random=True,
    citation=CITATION,
    protocols=(Protocol("gz_256", "gz_cd", tile=256),),
)

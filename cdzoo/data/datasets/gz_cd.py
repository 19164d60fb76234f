"""GZ-CD: building change in the suburbs of Guangzhou; no official split."""

from cdzoo.data.info import FILE_HOSTS, DatasetInfo
from cdzoo.protocol import Protocol

CITATION = """\
@article{peng2021semicdnet,
  author = {Peng, Daifeng and Bruzzone, Lorenzo and Zhang, Yongjun and Guan, Haiyan and Ding, Haiyong and Huang, Xu},
  title = {SemiCDNet: A Semisupervised Convolutional Neural Network for Change Detection in High Resolution
    Remote-Sensing Images},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  year = {2021},
  doi = {10.1109/TGRS.2020.3011913}
}"""

DATASET = DatasetInfo(
    name="gz_cd",
    title="GZ-CD",
    description="Buildings in the suburbs of Guangzhou, 2006 to 2019; 19 pairs of different sizes, no official split",
    resolution="0.55",
    splits={},
    image_size=None,
    protocols=(Protocol("gz_256", "gz_cd", tile=256),),
    paper="Peng et al., IEEE TGRS 59 (2021), doi 10.1109/TGRS.2020.3011913",
    homepage="https://github.com/daifeng2016/Change-Detection-Dataset-for-High-Resolution-Satellite-Imagery",
    files=f"the image pairs and labels, {FILE_HOSTS}",
    layout="A/, B/ and label/ of the 19 pairs, or train/, val/ and test/ of your own split",
    split_at_random=True,
    citation=CITATION,
)

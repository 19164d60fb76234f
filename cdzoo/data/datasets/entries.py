"""The data sets.

Figures are those of the papers and of the authors' pages. The archives lie behind forms and on file hosts that serve no programs,
so each entry says what to get by hand; `cdzoo data prepare --url` fetches them from any plain web server.
"""

from __future__ import annotations

from cdzoo.data.datasets.info import DatasetInfo
from cdzoo.data.datasets.oscd import read_oscd
from cdzoo.errors import UnknownNameError
from cdzoo.names import suggest

_BY_HAND = "on the file hosts that the page links to (Google Drive, Baidu Disk)"


def _bibtex(key: str, authors: str, title: str, venue: str, year: int, doi: str) -> str:
    return (
        f"@article{{{key},\n  author = {{{authors}}},\n  title = {{{title}}},\n  journal = {{{venue}}},\n"
        f"  year = {{{year}}},\n  doi = {{{doi}}}\n}}"
    )


_LEVIR = _bibtex(
    "chen2020levir",
    "Chen, Hao and Shi, Zhenwei",
    "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change Detection",
    "Remote Sensing",
    2020,
    "10.3390/rs12101662",
)
_S2LOOKING = _bibtex(
    "shen2021s2looking",
    "Shen, Li and others",
    "S2Looking: A Satellite Side-Looking Dataset for Building Change Detection",
    "Remote Sensing",
    2021,
    "10.3390/rs13245094",
)
_WHU = _bibtex(
    "ji2019whu",
    "Ji, Shunping and Wei, Shiqing and Lu, Meng",
    "Fully Convolutional Networks for Multisource Building Extraction From an Open Aerial and Satellite Imagery Data Set",
    "IEEE Transactions on Geoscience and Remote Sensing",
    2019,
    "10.1109/TGRS.2018.2858817",
)

_ENTRIES = (
    DatasetInfo(
        name="levir_cd",
        title="LEVIR-CD",
        description="Buildings that appear or disappear in 20 regions of Texas, 2002 to 2018",
        resolution="0.5",
        splits={"train": 445, "val": 64, "test": 128},
        image_size=1024,
        license="academic use only",
        paper="Chen and Shi, Remote Sensing 12 (2020) 1662, doi 10.3390/rs12101662",
        homepage="https://justchenhao.github.io/LEVIR/",
        files=f"train.zip, val.zip, test.zip, {_BY_HAND}",
        citation=_LEVIR,
    ),
    DatasetInfo(
        name="levir_cd_plus",
        title="LEVIR-CD+",
        description="LEVIR-CD and more of its kind; no validation split",
        resolution="0.5",
        splits={"train": 637, "test": 348},
        image_size=1024,
        paper="Shen et al., Remote Sensing 13 (2021) 5094, doi 10.3390/rs13245094",
        homepage="https://github.com/S2Looking/Dataset",
        files=f"LEVIR-CD+.zip, {_BY_HAND}",
        layout="train/ and test/, each with A/, B/ and label/",
        citation=_S2LOOKING,
    ),
    DatasetInfo(
        name="whu_cd",
        title="WHU-CD (official areas)",
        description="Buildings of Christchurch after the earthquake, 2012 and 2016: one aerial image of each area",
        resolution="0.2",
        splits={"train": 1, "test": 1},
        image_size=None,
        paper="Ji et al., IEEE TGRS 57 (2019) 574, doi 10.1109/TGRS.2018.2858817",
        homepage="http://gpcv.whu.edu.cn/data/building_dataset.html",
        files="the building change detection data set (before, after and change label as TIFF)",
        layout="train/ and test/, each with A/, B/ and label/ of one TIFF; cut it first with cdzoo data prepare whu_cd",
        citation=_WHU,
    ),
    DatasetInfo(
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
        citation=_WHU,
        split_at_random=True,
    ),
    DatasetInfo(
        name="sysu_cd",
        title="SYSU-CD",
        description="Buildings, roads, vegetation, sea construction in Hong Kong, 2007 to 2014",
        resolution="0.5",
        splits={"train": 12000, "val": 4000, "test": 4000},
        image_size=256,
        paper="Shi et al., IEEE TGRS 60 (2022), doi 10.1109/TGRS.2021.3085870",
        homepage="https://github.com/liumency/SYSU-CD",
        files=f"the training, validation and test archives, {_BY_HAND}",
        layout="train/, val/ and test/, each with time1/, time2/ and label/",
        citation=_bibtex(
            "shi2022sysu",
            "Shi, Qian and Liu, Mengxi and Li, Shengchen and Liu, Xiaoping and Wang, Fei and Zhang, Liangpei",
            "A Deeply Supervised Attention Metric-Based Network and an Open Aerial Image Dataset for Remote Sensing "
            "Change Detection",
            "IEEE Transactions on Geoscience and Remote Sensing",
            2022,
            "10.1109/TGRS.2021.3085870",
        ),
    ),
    DatasetInfo(
        name="gz_cd",
        title="GZ-CD",
        description="Buildings in the suburbs of Guangzhou, 2006 to 2019; 19 pairs of different sizes, no official split",
        resolution="0.55",
        splits={},
        image_size=None,
        paper="Peng et al., IEEE TGRS 59 (2021), doi 10.1109/TGRS.2020.3011913",
        homepage="https://github.com/daifeng2016/Change-Detection-Dataset-for-High-Resolution-Satellite-Imagery",
        files=f"the image pairs and labels, {_BY_HAND}",
        layout="A/, B/ and label/ of the 19 pairs, or train/, val/ and test/ of a split of your own",
        citation=_bibtex(
            "peng2021semicdnet",
            "Peng, Daifeng and Bruzzone, Lorenzo and Zhang, Yongjun and Guan, Haiyan and Ding, Haiyong and Huang, Xu",
            "SemiCDNet: A Semisupervised Convolutional Neural Network for Change Detection in High Resolution "
            "Remote-Sensing Images",
            "IEEE Transactions on Geoscience and Remote Sensing",
            2021,
            "10.1109/TGRS.2020.3011913",
        ),
        split_at_random=True,
    ),
    DatasetInfo(
        name="clcd",
        title="CLCD",
        description="Cropland that becomes buildings, roads, lakes or bare soil in Guangdong, 2017 to 2019",
        resolution="0.5 to 2",
        splits={"train": 360, "val": 120, "test": 120},
        image_size=512,
        paper="Liu et al., IEEE JSTARS 15 (2022), doi 10.1109/JSTARS.2022.3177235",
        homepage="https://github.com/liumency/CropLand-CD",
        files=f"CLCD.zip, {_BY_HAND}",
        layout="train/, val/ and test/, each with time1/, time2/ and label/",
        citation=_bibtex(
            "liu2022clcd",
            "Liu, Mengxi and Chai, Zhuoqun and Deng, Haojun and Liu, Rong",
            "A CNN-Transformer Network With Multiscale Context Aggregation for Fine-Grained Cropland Change Detection",
            "IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing",
            2022,
            "10.1109/JSTARS.2022.3177235",
        ),
    ),
    DatasetInfo(
        name="dsifn_cd",
        title="DSIFN-CD",
        description="Roads, buildings, cropland and water in six Chinese cities",
        resolution="2",
        splits={"train": 3600, "val": 340, "test": 48},
        image_size=512,
        paper="Zhang et al., ISPRS Journal 166 (2020) 183, doi 10.1016/j.isprsjprs.2020.06.003",
        homepage="https://github.com/GeoZcx/A-deeply-supervised-image-fusion-network-for-change-detection-in-remote-sensing-images",
        files=f"the training, validation and test archives, {_BY_HAND}",
        layout="train/, val/ and test/, each with t1/, t2/ and mask/",
        citation=_bibtex(
            "zhang2020dsifn",
            "Zhang, Chenxiao and others",
            "A deeply supervised image fusion network for change detection in high resolution bi-temporal remote sensing images",
            "ISPRS Journal of Photogrammetry and Remote Sensing",
            2020,
            "10.1016/j.isprsjprs.2020.06.003",
        ),
    ),
    DatasetInfo(
        name="cdd",
        title="CDD",
        description="Objects of all sizes across seasons, whose own changes do not count",
        resolution="0.03 to 1",
        splits={"train": 10000, "val": 3000, "test": 3000},
        image_size=256,
        paper="Lebedev et al., ISPRS Archives XLII-2 (2018) 565, doi 10.5194/isprs-archives-XLII-2-565-2018",
        homepage="https://isprs-archives.copernicus.org/articles/XLII-2/565/2018/",
        files=f"the subset of real images; the paper links to it, {_BY_HAND}. One common copy has 2998 validation pairs",
        layout="train/, val/ and test/, each with A/, B/ and OUT/",
        citation=_bibtex(
            "lebedev2018cdd",
            "Lebedev, M. A. and Vizilter, Y. V. and Vygolov, O. V. and Knyaz, V. A. and Rubis, A. Y.",
            "Change Detection in Remote Sensing Images Using Conditional Adversarial Networks",
            "ISPRS Archives",
            2018,
            "10.5194/isprs-archives-XLII-2-565-2018",
        ),
    ),
    DatasetInfo(
        name="s2looking",
        title="S2Looking",
        description="Buildings in rural areas of the world, seen from the side, 2017 to 2020",
        resolution="0.5 to 0.8",
        splits={"train": 3500, "val": 500, "test": 1000},
        image_size=1024,
        paper="Shen et al., Remote Sensing 13 (2021) 5094, doi 10.3390/rs13245094",
        homepage="https://github.com/S2Looking/Dataset",
        files=f"S2Looking.zip, {_BY_HAND}",
        layout="train/, val/ and test/, each with Image1/, Image2/ and label/",
        citation=_S2LOOKING,
    ),
    DatasetInfo(
        name="oscd",
        title="OSCD",
        description="Urban change in 24 pairs of Sentinel-2 around the world, 2015 to 2018; RGB renderings here",
        resolution="10",
        splits={"train": 14, "test": 10},
        image_size=None,
        paper="Daudt et al., IGARSS 2018, doi 10.1109/IGARSS.2018.8518015",
        homepage="https://rcdaudt.github.io/oscd/",
        files="the images, the train labels and the test labels, from IEEE DataPort (after signing in)",
        layout="the unpacked archives side by side; cities, train.txt and test.txt are found below",
        citation=_bibtex(
            "daudt2018oscd",
            "Daudt, Rodrigo Caye and Le Saux, Bertrand and Boulch, Alexandre and Gousseau, Yann",
            "Urban Change Detection for Multispectral Earth Observation Using Convolutional Neural Networks",
            "IGARSS",
            2018,
            "10.1109/IGARSS.2018.8518015",
        ),
        reader=read_oscd,
    ),
)

DATASETS: dict[str, DatasetInfo] = {entry.name: entry for entry in _ENTRIES}


def dataset_info(name: str) -> DatasetInfo:
    """Return the data set called `name`.

    Raises:
        UnknownNameError: There is none; the nearest name is given.
    """
    if name not in DATASETS:
        raise UnknownNameError(
            f"there is no data set '{name}'.{suggest(name, DATASETS)} Known: {', '.join(DATASETS)}. A folder of pairs needs no "
            f"name: give its path"
        )
    return DATASETS[name]

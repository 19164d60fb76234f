"""Landsat-SCD: semantic change in Landsat images of Tumushuke, Xinjiang."""

from cdzoo.data.info import DatasetInfo
from cdzoo.data.labels import TransitionMap
from cdzoo.data.layout import LISTS
from cdzoo.data.palette import RGB, class_palette
from cdzoo.protocol import Protocol

CITATION = """\
@article{yuan2022landsat,
  author = {Yuan, Panli and Zhao, Qingzhan and Zhao, Xingbiao and Wang, Xuewen and Long, Xuefeng and Zheng, Yuchen},
  title = {A transformer-based Siamese network and an open optical dataset for semantic change detection of remote sensing
    images},
  journal = {International Journal of Digital Earth},
  year = {2022},
  doi = {10.1080/17538947.2022.2111470}
}"""

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
COLORS: dict[str, RGB] = {
    "farmland": (0, 155, 0),
    "desert": (255, 165, 0),
    "building": (230, 30, 100),
    "water": (0, 170, 240),
}
TRANSITIONS: tuple[tuple[RGB, tuple[int, int]], ...] = (
    ((255, 165, 0), (1, 2)),
    ((230, 30, 100), (1, 3)),
    ((70, 140, 0), (2, 1)),
    ((218, 112, 214), (2, 3)),
    ((0, 170, 240), (2, 4)),
    ((127, 235, 170), (3, 1)),
    ((230, 80, 0), (3, 2)),
    ((205, 220, 57), (4, 1)),
    ((218, 165, 32), (4, 2)),
)
"""Color and classes of both dates of each transition from 1. Three colors mean another thing than in `COLORS`."""
_HINT = "Copies with other colors exist; convert their labels to the numbers or colors of the authors"

LABELS = TransitionMap(
    class_names=tuple(COLORS),
    palette=class_palette("Landsat-SCD (maps of both dates)", (WHITE, *COLORS.values()), range(5), (BLACK,), _HINT),
    colors=tuple(COLORS.values()),
    transitions=tuple(classes for _, classes in TRANSITIONS),
    transition_palette=class_palette(
        "Landsat-SCD (one map of transitions)",
        (WHITE, *(color for color, _ in TRANSITIONS)),
        range(len(TRANSITIONS) + 1),
        (BLACK,),
        _HINT,
    ),
)

DATASET = DatasetInfo(
    name="landsat_scd",
    title="Landsat-SCD",
    description="Farmland, desert, building and water before and after change, 1990 to 2020",
    resolution="30",
    splits={},
    image_size=416,
    protocols=(Protocol("landsat_scd_416", "landsat_scd", metric="sek"),),
    paper="Yuan et al., International Journal of Digital Earth 15 (2022), doi 10.1080/17538947.2022.2111470",
    homepage="https://doi.org/10.6084/m9.figshare.19946135",
    files="Landsat-SCD_dataset.zip",
    layout=(
        "A/, B/ and label/ (transitions), labelA/ and labelB/ (numbers) or labelA_rgb/ and labelB_rgb/ (colors), in one folder, "
        "with or without {train,val,test}_list.txt, or in train/, val/ and test/; or im1/, im2/, label1/ and label2/"
    ),
    citation=CITATION,
    layouts=(
        ("A", "B", "labelA_rgb", "labelB_rgb"),
        ("A", "B", "labelA", "labelB"),
        ("im1", "im2", "label1", "label2"),
        ("A", "B", "label"),
    ),
    lists=(*LISTS, "{}_list.txt", "list/{}_list.txt"),
    split_at_random=True,
    split_parts=("train",) * 3 + ("val", "test"),
    labels=LABELS,
    fill_value=255,
    copies=("*rotate*", "*Crop*", "*ZheDang*", "*Zhedang*"),
)

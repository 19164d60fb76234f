"""SECOND: semantic change in aerial images of Chinese cities."""

from cdzoo.data.info import DatasetInfo
from cdzoo.data.labels import LandCover
from cdzoo.data.palette import RGB, class_palette
from cdzoo.protocol import Protocol

CITATION = """\
@article{yang2022second,
  author = {Yang, Kunping and Xia, Gui-Song and Liu, Zicheng and Du, Bo and Yang, Wen and Pelillo, Marcello and Zhang, Liangpei},
  title = {Asymmetric Siamese Networks for Semantic Change Detection in Aerial Images},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  year = {2022},
  doi = {10.1109/TGRS.2021.3113912}
}"""

COLORS: dict[str, RGB] = {
    "water": (0, 0, 255),
    "ground": (128, 128, 128),
    "low vegetation": (0, 128, 0),
    "tree": (0, 255, 0),
    "building": (128, 0, 0),
    "sports field": (255, 0, 0),
}
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
ORDERS: dict[str, tuple[RGB, tuple[str, ...]]] = {
    "A": (WHITE, ("water", "ground", "low vegetation", "tree", "building", "sports field")),
    "B": (BLACK, ("low vegetation", "ground", "tree", "water", "building", "sports field")),
}
"""Color of unchanged pixels and order of the classes: A of SCanNet, Bi-SRNet and Open-CD, B of ChangeMamba."""
_HINT = (
    "Labels of one band are numbered in order A (SCanNet, Bi-SRNet, Open-CD) or B (ChangeMamba), and in color, unchanged pixels "
    "are white in A and black in B: declare the order of your copy with --class-order A or --class-order B"
)


def second_labels(order: str, values: bool = True) -> LandCover:
    """Return what reads labels in a class order, in color and, if `values`, as numbers of that order."""
    unchanged, names = ORDERS[order]
    colors = tuple(COLORS[name] for name in names)
    title = f"SECOND in class order {order}" if values else "SECOND without a declared class order"
    palette = class_palette(title, (unchanged, *colors), range(len(names) + 1) if values else (), hint=_HINT)
    return LandCover(names, palette, colors)


_DATES = (("im1", "im2"), ("A", "B"))
_MAPS = (
    ("label1_rgb", "label2_rgb"),  # in color, beside the numbers: the classes are certain
    ("label1_wo_cm", "label2_wo_cm"),
    ("labelA", "labelB"),
    ("label1", "label2"),
)

DATASET = DatasetInfo(
    name="second",
    title="SECOND",
    description="Land cover before and after change in aerial images of Chinese cities, 6 classes",
    resolution="0.5 to 3",
    splits={"train": 2968, "test": 1694},
    image_size=512,
    protocols=(
        Protocol("second_512", "second", metric="sek"),
        Protocol("second_512_from_to", "second", metric="sek_from_to"),
    ),
    paper="Yang et al., IEEE TGRS 60 (2022), doi 10.1109/TGRS.2021.3113912",
    homepage="https://captain-whu.github.io/SCD/",
    files="SECOND_train_set.zip and SECOND_total_test.zip, from the file hosts linked on the homepage",
    layout=(
        "train/ and test/ (val/), each with im1/, im2/, label1/ and label2/ (colors, or numbers with --class-order); also with "
        "label1_rgb/ and label2_rgb/, with a mask of change in label/, or with T1/, T2/, GT_T1/, GT_T2/ and GT_CD/"
    ),
    citation=CITATION,
    layouts=(
        ("T1", "T2", "GT_T1", "GT_T2", "GT_CD"),
        ("T1", "T2", "GT_T1", "GT_T2"),
        *((*dates, *maps, *change) for maps in _MAPS for change in (("label",), ()) for dates in _DATES),
    ),
    labels=second_labels("A", values=False),
    class_orders={order: second_labels(order) for order in ORDERS},
)

"""xBD: building damage in satellite images of 19 disasters, the data of the xView2 challenge."""

from __future__ import annotations

from pathlib import Path

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.info import DatasetInfo
from cdzoo.data.labels import Grades
from cdzoo.data.layout import find_layout
from cdzoo.data.listing import Key, PairFiles, contents, list_folders, usable_pairs
from cdzoo.data.palette import Palette
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol

CITATION = """\
@article{gupta2019xbd,
  author = {Gupta, Ritwik and Hosfelt, Richard and Sajeev, Sandra and Patel, Nirav and Goodman, Bryce and Doshi, Jigar and
    Heim, Eric and Choset, Howie and Gaston, Matthew},
  title = {xBD: A Dataset for Assessing Building Damage from Satellite Imagery},
  journal = {arXiv},
  year = {2019},
  doi = {10.48550/arXiv.1911.09296}
}"""

GRADES = ("no damage", "minor damage", "major damage", "destroyed")
COLORS = ((70, 181, 121), (167, 187, 27), (228, 189, 139), (181, 70, 70))
_LAYOUTS = (("images", "targets"), ("images", "masks"))
_SPLITS = {"train": ("train",), "val": ("val", "hold"), "test": ("test",)}


def _key(date: str) -> Key:
    """Return a function that removes the date and `_target` from the names of one date; other files are not read."""

    def name(stem: str) -> str | None:
        # EVENT_ID_pre_disaster, EVENT_ID_pre_disaster_target and EVENT_pre_disaster_ID_TILE
        return stem.replace(f"_{date}_disaster", "").removesuffix("_target") if f"_{date}_disaster" in stem else None

    return name


def read_whole(root: Path) -> list[PairFiles]:
    """Return all pairs of a folder with `images/`, and with `targets/` or `masks/`.

    Raises:
        InputError: The folders or a file are missing; all missing files are listed.
    """
    found = find_layout(root, _LAYOUTS)
    if found is None:
        raise InputError(f"{root}: no folder images/, and targets/ or masks/; found {contents(root)}")
    images, labels = found
    keys = [_key(date) for date in ("pre", "post", "post", "pre")]
    return usable_pairs(list_folders(root, (images, images), (labels, labels), keys=keys))


def read_files(root: Path, split: str) -> list[PairFiles]:
    """Return the pairs of a split; the folder `hold` is the validation split.

    Raises:
        InputError: The folder of the split or a file is missing; all missing files are listed.
    """
    folder = next((root / name for name in _SPLITS[split] if (root / name).is_dir()), None)
    if folder is None:
        expected = " or ".join(f"{name}/" for name in _SPLITS[split])
        raise InputError(f"{root}: no folder {expected} with images/, and with targets/ or masks/, for the split '{split}'")
    return read_whole(folder)


LABELS = Grades(
    GRADES,
    Palette(
        "xBD",
        {grade: grade for grade in range(5)} | {IGNORE_INDEX: IGNORE_INDEX},
        hint="Grades are 0 to 4, and 255 for buildings that are not graded (un-classified)",
    ),
    COLORS,
)

DATASET = DatasetInfo(
    name="xbd",
    title="xBD (xView2)",
    description="Buildings and 4 grades of damage in satellite images of 19 disasters worldwide",
    resolution="0.3 to 0.8",
    splits={"train": 2799, "val": 933, "test": 933},
    image_size=1024,
    protocols=(
        Protocol("xbd_xview2", "xbd", metric="xview2"),
        Protocol("xbd_unmasked", "xbd", metric="xview2_unmasked"),
    ),
    license="CC BY-NC-SA 4.0",
    paper="Gupta et al., arXiv:1911.09296, doi 10.48550/arXiv.1911.09296",
    homepage="https://xview2.org/",
    files="the challenge training, test and holdout sets (requires an account)",
    layout="train/, hold/ (or val/) and test/, each with images/, and with targets/ or masks/: EVENT_ID_{pre,post}_disaster*.png",
    citation=CITATION,
    labels=LABELS,
    optional_splits={"val": _SPLITS["val"]},
    reader=read_files,
    whole_layouts=_LAYOUTS,
    whole_reader=read_whole,
)

"""BRIGHT: building damage from optical images before and radar images after 14 disasters."""

from __future__ import annotations

import warnings
from pathlib import Path

from cdzoo.data.info import DatasetInfo
from cdzoo.data.labels import Grades
from cdzoo.data.listing import Key, Listing, PairFiles, list_folders, read_names, usable_pairs
from cdzoo.data.palette import Palette
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol

CITATION = """\
@article{chen2025bright,
  author = {Chen, H. and Song, J. and Dietrich, O. and Broni-Bediako, C. and Xuan, W. and Wang, J. and Shao, X. and Wei, Y. and
    Xia, J. and Lan, C. and Schindler, K. and Yokoya, N.},
  title = {BRIGHT: a globally distributed multimodal building damage assessment dataset with very-high-resolution for all-weather
    disaster response},
  journal = {Earth System Science Data},
  year = {2025},
  doi = {10.5194/essd-17-6217-2025}
}"""

GRADES = ("intact", "damaged", "destroyed")
COLORS = ((70, 181, 121), (228, 189, 139), (182, 70, 69))
EVENTS = (
    "bata-explosion",
    "beirut-explosion",
    "congo-volcano",
    "haiti-earthquake",
    "hawaii-wildfire",
    "la_palma-volcano",
    "libya-flood",
    "marshall-wildfire",
    "mexico-hurricane",
    "morocco-earthquake",
    "myanmar-hurricane",
    "noto-earthquake",
    "turkey-earthquake",
    "ukraine-conflict",
)
NOT_IN_DOWNLOAD = ("mexico-hurricane", "myanmar-hurricane", "ukraine-conflict")
"""Events whose optical images must be obtained from elsewhere."""
_FOLDERS = {"pre-event": "_pre_disaster", "post-event": "_post_disaster", "target": "_building_damage"}
_SPLITS = ("train", "val", "test")


def event_of(name: str) -> str:
    """Return the event of a sample such as `noto-earthquake_00000042`."""
    return name.rpartition("_")[0]


def _key(ending: str) -> Key:
    """Return a function that removes the ending from file names; other files are not read."""
    return lambda stem: stem.removesuffix(ending) if stem.endswith(ending) else None


def _names(root: Path, split: str) -> list[str]:
    """Return the names in the list of a split of the authors."""
    lists = sorted(root.rglob(f"{split}_set.txt")) or sorted(root.rglob(f"{split}.txt"))
    if not lists:
        raise InputError(
            f"{root}: no {split}_set.txt, the list of the split '{split}', in any of its subfolders; it is in the repository of "
            "the authors, bda_benchmark/dataset/splitname/standard_ML"
        )
    standard = [file for file in lists if "few_shot" not in file.parts]
    return [name.removesuffix(".tif").removesuffix("_building_damage") for name in read_names((standard or lists)[0])]


def _read(root: Path, names: list[str]) -> list[PairFiles]:
    """Return the pairs of some names; those without an optical image that the download lacks are left out with a warning."""
    folders = [root / name for name in _FOLDERS]
    if len(set(names)) < len(names):
        raise InputError(f"{root}: the lists of the splits name a pair twice")
    listing = list_folders(root, folders[:2], folders[2:], keys=[_key(ending) for ending in _FOLDERS.values()])
    found = {pair.name: pair for pair in listing.pairs}
    lacking = [name for name in names if name not in found]
    unavailable = [name for name in lacking if event_of(name) in NOT_IN_DOWNLOAD]
    if unavailable:
        events = ", ".join(dict.fromkeys(map(event_of, unavailable)))
        warnings.warn(
            f"{root}: {len(unavailable)} pairs of {events} are incomplete and left out; their optical images are not in the "
            "download, and scores are not comparable with those of the whole split",
            stacklevel=4,
        )
    if missing := [name for name in lacking if name not in unavailable]:
        shown = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        raise InputError(f"{root}: {len(missing)} listed pairs are incomplete: {shown}; expected NAME in {', '.join(_FOLDERS)}")
    pairs = [found[name] for name in names if name in found]
    listed = Listing(root, pairs, left_out=listing.left_out)  # without the problems of other files
    return usable_pairs(listed, equal_values=False)


def read_files(root: Path, split: str) -> list[PairFiles]:
    """Return the pairs of a split of the authors (standard machine learning).

    Raises:
        InputError: The list or a file is missing.
    """
    return _read(root, _names(root, split))


def read_event(root: Path, split: str, event: str) -> list[PairFiles]:
    """Return the pairs of a split if an event is unseen: all of its pairs are tested.

    The others train, validation pairs excepted.

    Raises:
        InputError: A list or a file is missing.
    """
    names = {part: _names(root, part) for part in _SPLITS}
    if split == "test":
        return _read(root, [name for part in _SPLITS for name in names[part] if event_of(name) == event])
    parts = ("val",) if split == "val" else ("train", "test")
    return _read(root, [name for part in parts for name in names[part] if event_of(name) != event])


LABELS = Grades(
    GRADES,
    Palette(
        "BRIGHT",
        {grade: grade for grade in range(4)},
        {(255, 255, 255): 0, (0, 0, 0): 0} | {color: grade for grade, color in enumerate(COLORS, 1)} | {(181, 70, 70): 3},
    ),
    COLORS,
)

DATASET = DatasetInfo(
    name="bright",
    title="BRIGHT",
    description="Buildings and 3 grades of damage, optical images before and radar after 14 disasters in 23 regions worldwide",
    resolution="0.3 to 1",
    splits={"train": 2918, "val": 450, "test": 878},
    image_size=1024,
    protocols=(Protocol("bright_1024", "bright", metric="miou_damage"),),
    paper="Chen et al., Earth System Science Data 17 (2025) 6217-6253, doi 10.5194/essd-17-6217-2025",
    homepage="https://github.com/ChenHongruixuan/BRIGHT",
    files="pre-event.zip, post-event.zip and target.zip from Zenodo, and the lists of the splits from the homepage",
    layout=(
        "pre-event/NAME_pre_disaster.tif, post-event/NAME_post_disaster.tif (one band) and target/NAME_building_damage.tif, with "
        "train_set.txt, val_set.txt and test_set.txt in it or in a subfolder"
    ),
    citation=CITATION,
    labels=LABELS,
    bands=(3, 1),
    events=EVENTS,
    reader=read_files,
    event_reader=read_event,
)

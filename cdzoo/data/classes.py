"""Folders of one's own with labels of several classes, declared in a file `classes.json` or `classes.txt`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.labels import ClassMap, Grades, Labels, LandCover
from cdzoo.data.layout import LAYOUTS, SPLITS, Layout, find_layout
from cdzoo.data.masks import MaskEncoding
from cdzoo.data.palette import RGB, Palette
from cdzoo.errors import ConfigError, InputError
from cdzoo.names import check_known

FILES = ("classes.json", "classes.txt")
BACKGROUND = ("unchanged", "no change", "background", "no class", "no building")
"""Names of class 0."""
UNLABELED = ("unlabeled", "unlabelled", "ignore", "ignored")
"""Names of pixels without a label."""
_KEYS = ("name", "value", "color")
_DATES = tuple(layout[:2] for layout in LAYOUTS)
_MAPS = (("labels1", "labels2"), ("label1", "label2"), ("labelA", "labelB"))

LAND_COVER_LAYOUTS: tuple[Layout, ...] = tuple(
    (*dates, *maps, *change) for change in (("change",), ("label",), ()) for dates in _DATES for maps in _MAPS
)
"""Folders of both dates, of the land cover of both dates, and optionally of masks of change."""
_GRADES_LAYOUTS: tuple[Layout, ...] = (*((*layout, "building") for layout in LAYOUTS), *LAYOUTS)


@dataclass(frozen=True)
class DeclaredClass:
    """One line of a file of classes.

    Attributes:
        name: Name.
        value: Value in files of one band.
        color: Color in files in color.
    """

    name: str
    value: int | None = None
    color: RGB | None = None


@dataclass(frozen=True)
class OwnLabels:
    """What a file of classes declares.

    Attributes:
        labels: Reads the targets.
        layouts: Folders to look for: two of dates, then those of labels.
    """

    labels: Labels
    layouts: tuple[Layout, ...]


def find_classes(root: Path, named: str | None = None, listed: bool = False) -> OwnLabels | None:
    """Read the file of classes of a folder; None if it has none.

    Args:
        root: The folder.
        named: The file, if it is not one of `FILES` in the folder.
        listed: Whether the pairs are named by a table or patterns, so that the folders in `root` mean nothing.

    Raises:
        InputError: The file cannot be read or declares no classes, or the folder has labels of both dates without such a file.
    """
    file = Path(named) if named else next((root / name for name in FILES if (root / name).is_file()), None)
    has_maps = not listed and _exists(root, LAND_COVER_LAYOUTS)
    if file is None:
        if has_maps and not _exists(root, LAYOUTS):
            raise InputError(
                f"{root}: has labels of both dates, but no {' or '.join(FILES)} that declares their classes: one line for each "
                "class, with its value or color and its name. Or name the data set, such as --data second --root FOLDER"
            )
        return None
    classes, options = _read_json(file) if file.suffix == ".json" else _read_text(file)
    task = options.pop("task", LandCover.task if has_maps else ClassMap.task)
    check_known(f"{file}: unknown task", str(task), _MAKERS, InputError)
    make, layouts = _MAKERS[task]
    everywhere, encoding = options.pop("everywhere", False), options.pop("mask_encoding", None)
    if options or not isinstance(everywhere, bool) or (everywhere and task != LandCover.task):
        raise InputError(
            f"{file}: expected the keys classes, task, mask_encoding (of masks of change or buildings, such as 0/1/255) and, for "
            "land cover, everywhere (true or false)"
        )
    further: dict[str, Any] = {"everywhere": True} if everywhere else {}
    if encoding is not None and _MASKS.get(task):
        try:
            further[_MASKS[task]] = MaskEncoding(str(encoding))
        except ConfigError as error:
            raise InputError(f"{file}: {error}") from error
    return OwnLabels(_labels(file, classes, make, further), layouts)


def declaration(labels: Labels) -> dict[str, Any]:
    """Return the content of a file `classes.json` that reads targets of `labels` from files of their values.

    Args:
        labels: Labels of several classes.
    """
    names = labels.class_names if isinstance(labels, ClassMap) else (BACKGROUND[0], *labels.class_names)
    numbers = [*enumerate(names), (IGNORE_INDEX, UNLABELED[0])]
    return {
        "task": labels.task,
        "classes": [{"name": name, "value": value} for value, name in numbers],
        "mask_encoding": "0/1/255",
        **({"everywhere": True} if getattr(labels, "everywhere", False) else {}),
    }


def _labels(file: Path, classes: Sequence[DeclaredClass], make: Callable[..., Labels], options: Mapping[str, Any]) -> Labels:
    """Return what reads labels of the declared classes."""
    background = [each for each in classes if each.name.lower() in BACKGROUND]
    unlabeled = [each for each in classes if each.name.lower() in UNLABELED]
    kinds = [each for each in classes if each not in background and each not in unlabeled]
    has_values, has_colors = (any(getattr(each, key) is not None for each in kinds) for key in ("value", "color"))
    for key, used in (("value", has_values), ("color", has_colors)):
        if used and (lacking := [each.name for each in (*background, *kinds) if getattr(each, key) is None]):
            raise InputError(f"{file}: {', '.join(lacking)}: no {key}, although other classes have one; declare all or none")
        given = Counter(getattr(each, key) for each in classes if getattr(each, key) is not None)
        if twice := [each for each, count in given.items() if count > 1]:
            raise InputError(f"{file}: the {key} {twice[0]} is declared twice")
    if not kinds or not (has_values or has_colors):
        raise InputError(f"{file}: declares no classes with values or colors beside unchanged and unlabeled")
    if len(background) > 1 or len({each.name for each in classes}) < len(classes):
        raise InputError(f"{file}: a name is declared twice, or more than one of {', '.join(BACKGROUND)}")
    if not background and has_colors and not options.get("everywhere"):
        raise InputError(f"{file}: no color of the pixels without change; add a line with it that is called {BACKGROUND[0]}")
    if not background and has_values and all(each.value for each in classes):
        background = [DeclaredClass(BACKGROUND[0], 0)]
    numbered = [*((each, 0) for each in background), *((each, number) for number, each in enumerate(kinds, 1))]
    numbered += [(each, IGNORE_INDEX) for each in unlabeled]
    palette = Palette(
        str(file),
        {each.value: number for each, number in numbered if each.value is not None},
        {each.color: number for each, number in numbered if each.color is not None},
        f"Declare it in {file.name}, or correct the labels",
        {each.name.lower(): number for each, number in numbered},
    )
    names, colors = tuple(each.name for each in kinds), tuple(each.color for each in kinds if each.color)
    if make is ClassMap:
        names = (background[0].name if background else BACKGROUND[1], *names)
        colors = (*(each.color for each in background if each.color), *colors)
    return make(names, palette, colors, **options)


def _read_json(file: Path) -> tuple[list[DeclaredClass], dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        items = content.pop("classes")
        if isinstance(items, dict):  # "water": 1, or "water": [0, 0, 255]
            items = [{"name": name, "value" if isinstance(key, int) else "color": key} for name, key in items.items()]
        classes = [_declared(file, **item) for item in items]
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f'{file}: cannot be read ({error!r}); expected {{"classes": [{{"name": "water", "value": 1, "color": [0, 0, 255]}}, '
            "...]}, with a value, a color or both for each class"
        ) from error
    return classes, content


def _read_text(file: Path) -> tuple[list[DeclaredClass], dict[str, Any]]:
    """Read lines such as `1 water`, `0,0,255 water` or `1 0,0,255 water`; `#` starts a comment."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    classes = []
    for line in (line.partition("#")[0].split() for line in lines):
        item: dict[str, Any] = {}
        while line and line[0].replace(",", "").isdecimal():
            numbers = [int(number) for number in line.pop(0).split(",") if number]
            key = "value" if len(numbers) == 1 else "color"
            if key in item:
                raise InputError(f"{file}: {' '.join(line)}: two numbers; expected a value, a color or both, then the name")
            item[key] = numbers[0] if len(numbers) == 1 else numbers
        if item or line:
            classes.append(_declared(file, name=" ".join(line), **item))
    return classes, {}


def _declared(file: Path, **item: Any) -> DeclaredClass:
    """Return one class after checking its name, value and color."""
    name, value, color = (item.get(key) for key in _KEYS)
    levels = [] if value is None else [value]
    levels += [] if color is None else list(color)
    valid = all(type(level) is int and 0 <= level < 256 for level in levels) and (color is None or len(color) == 3)
    if set(item) - set(_KEYS) or not isinstance(name, str) or not name.strip() or not levels or not valid:
        raise InputError(
            f"{file}: {item}: a class needs a name, and a value from 0 to 255, a color of three such numbers, or both; in a text "
            "file: 1 water, or 0,0,255 water"
        )
    return DeclaredClass(name.strip(), value, None if color is None else (color[0], color[1], color[2]))


def _exists(root: Path, layouts: Sequence[Layout]) -> bool:
    """Return whether a folder, or the folder of one of its splits, has one of some layouts."""
    folders = [root, *(root / name for names in SPLITS.values() for name in names)]
    return any(find_layout(folder, layouts) for folder in folders)


_MAKERS: dict[str, tuple[Callable[..., Labels], tuple[Layout, ...]]] = {
    LandCover.task: (LandCover, LAND_COVER_LAYOUTS),
    ClassMap.task: (ClassMap, LAYOUTS),
    Grades.task: (Grades, _GRADES_LAYOUTS),
}
_MASKS = {LandCover.task: "change", Grades.task: "buildings"}
"""Argument of the labels that is the encoding of their masks."""

"""Files of classes with wrong keys, types and numbers: each is refused with its name, or declares classes."""

import json

import numpy as np
from PIL import Image

from cdzoo.data.check import check_data
from cdzoo.data.classes import find_classes
from cdzoo.errors import InputError

VALUES = [
    *(None, True, 0, 1, 1, 2, 3, 255, 256, -1, 10**400, 0.5, "", "x", "water", "unchanged", "\0", "é" * 300, [], {}, [1]),
    *([0, 0, 255], [0, 0, 256], [0, "0", 0], {"value": 1}, {"name": "a", "value": 1}, [[0, 0, 0]], {"color": [1, 2, 3]}),
]
WORDS = [
    "0",
    "1",
    "1",
    "2",
    "255",
    "256",
    "-1",
    "0,0,0",
    "0,0,255",
    "1,2",
    ",",
    "water",
    "bare",
    "ground",
    "unchanged",
    "#",
    "\0",
    "٣",
]


def pick(rng, values):
    return values[rng.integers(len(values))]


def wrong_json(rng):
    """Return a file of classes with some values replaced."""
    classes = [{"name": name, "value": value} for value, name in enumerate(("unchanged", "water", "ground"))]
    content = {"classes": classes, "task": "semantic", "everywhere": False, "mask_encoding": "0/1"}
    for _ in range(rng.integers(0, 3)):
        place = pick(rng, [content, content, *classes])
        place[pick(rng, [*place, "x"])] = pick(rng, VALUES)
    text = json.dumps(content if rng.random() < 0.95 else pick(rng, VALUES))
    return text[: rng.integers(len(text))] if rng.random() < 0.1 else text


def wrong_text(rng):
    """Return a file of classes with some words replaced."""
    words = "0 unchanged \n 1 water \n 2 bare ground \n 255 unlabeled".split(" ")
    for _ in range(rng.integers(0, 3)):
        words[rng.integers(len(words))] = pick(rng, WORDS)
    return " ".join(words)


def declare(rng, folder):
    for name in ("A", "B", "labels1", "labels2"):
        (folder / name).mkdir()
        shape = (32, 32) if name.startswith("labels") else (32, 32, 3)
        Image.fromarray(rng.integers(1, 3, shape, dtype=np.uint8)).save(folder / name / "0.png")
    name, text = ("classes.json", wrong_json(rng)) if rng.integers(2) else ("classes.txt", wrong_text(rng))
    (folder / name).write_text(text, encoding="utf-8")
    try:
        found = find_classes(folder)
    except InputError as error:
        assert name in str(error)
        raise
    assert found is not None and found.labels.class_names
    return "problems" if check_data(folder, progress=False).problems else "no problem"


def test_files_of_classes(fuzz):
    outcomes = fuzz(declare, 40)
    assert len(outcomes) > 2

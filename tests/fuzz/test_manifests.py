"""Malformed lists of scenes: each is refused or predicted as far as it can be, without a traceback."""

from pathlib import Path

import numpy as np
import pytest
from known_backbones import Pixels

import cdzoo
from cdzoo.components import PerLevelFusion
from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.fusion import AbsDiff
from cdzoo.heads import Conv
from cdzoo.scenes import SceneCfg
from cdzoo.scenes.many import COLUMNS, predict_scenes, read_manifest

rasterio = pytest.importorskip("rasterio")

WORDS = ["a.tif", "b.tif", "c.tif", "m.tif", "n.tif", "p.tif", "./a.tif", "sub/../b.tif", "sub/m.tif", "none.tif", "r.html"]
WORDS += [
    "p.gpkg",
    "p.geojson",
    "list.csv",
    "list.csv/m.tif",
    "",
    " ",
    ".",
    "..",
    "sub",
    "m.png",
    "x" * 300 + ".tif",
    "\0",
    "o\0.tif",
]
WORDS += [
    "/vsizip/a.zip/a.tif",
    "/vsicurl/http://127.0.0.1:9/a.tif",
    "ftp://127.0.0.1:9/a.tif",
    "GTIFF_DIR:1:a.tif",
    "<VRTDataset/>",
]
WORDS += ['"', '"a.tif', "a\nb.tif", "é.tif", "\x1b[31m.tif", "-o", "~", "$HOME", "nul", "a.tif\u202e", "\ufeffa.tif", "%s", "{}"]
NAMES = [*COLUMNS, *COLUMNS, "color", "", "before ", "Before", "after\0"]


def raster(path, pixels):
    height, width, bands = pixels.shape
    place = {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(500_000, 5_000_000, 1, 1)}
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=bands, dtype="uint8", **place) as file:
        file.write(pixels.transpose(2, 0, 1))


def load():
    named = {kind: ComponentCfg(f"instance:{kind}") for kind in ("backbone", "fusion", "head")}
    config = ModelCfg(name="known", **named, in_chans=3, mean=(0.0,), std=(1.0,))
    head = Conv([3], [1], 1)
    return cdzoo.ChangeDetector(Pixels(), None, PerLevelFusion([AbsDiff(3)], [1]), None, head, config=config).eval()


def bytes_of_list(rng):
    """Return a list with a few faults: of the header, of the lines, and of the bytes."""
    names = list(COLUMNS[: rng.integers(3, 7)]) if rng.random() < 0.9 else list(rng.choice(NAMES, rng.integers(0, 7)))
    lines = [",".join(names)]
    for _ in range(rng.integers(1, 6)):
        count = len(names) if rng.random() < 0.8 else rng.integers(0, 9)
        plain = ["a.tif", "b.tif", f"m{rng.integers(3)}.tif", "", "", ""]
        cells = [plain[index % 6] if rng.random() < 0.8 else str(rng.choice(WORDS)) for index in range(count)]
        lines.append((";" if rng.random() < 0.05 else ",").join(cells))
    data = (
        str(rng.choice(["\n", "\r\n", "\n", "\r"]))
        .join(lines)
        .encode(str(rng.choice(["utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16"])), "replace")
    )
    if rng.random() < 0.15:
        data = data[: rng.integers(0, len(data) + 1)]
    for _ in range(rng.integers(0, 3) if rng.random() < 0.15 and data else 0):
        place = rng.integers(len(data))
        data = data[:place] + bytes([rng.integers(256)]) + data[place + 1 :]
    return data


def one_list(rng, folder):
    (folder / "sub").mkdir()
    for name in ("a.tif", "b.tif"):
        raster(folder / name, rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    (folder / "c.tif").write_bytes((folder / "a.tif").read_bytes()[: rng.integers(0, 3000)])
    (folder / "list.csv").write_bytes(bytes_of_list(rng))
    scenes, problems = read_manifest(folder / "list.csv")
    kept = {file: file.read_bytes() for scene in scenes for file in (Path(scene.before), Path(scene.after))}
    inside = [scene for scene in scenes if all(folder in file.resolve().parents for file in scene.outputs)]
    outcomes = list(predict_scenes(load, inside, SceneCfg(tile=64, progress=False)))
    assert len(outcomes) == len(inside) and all(file.read_bytes() == data for file, data in kept.items())
    unforeseen = [outcome.error for outcome in outcomes if "Error: " in outcome.error]
    assert not unforeseen, unforeseen
    return "partly" if problems or any(outcome.error for outcome in outcomes) else "predicted"


def test_lists(fuzz):
    assert fuzz(one_list, 60)["refused"]

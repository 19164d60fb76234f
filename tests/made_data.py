"""Small copies of data sets with classes, in the layouts and palettes of their authors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cdzoo.data.datasets import hi_ucd, landsat_scd, second
from cdzoo.data.sample import Sample

SIDE = 64


def save(pixels: np.ndarray, path: Path) -> None:
    """Write an image, and its folder if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def image(rng: np.random.Generator, bands: int = 3) -> np.ndarray:
    """Return random pixels (SIDE, SIDE) or (SIDE, SIDE, 3)."""
    return rng.integers(0, 250, (SIDE, SIDE, 3)[: 2 if bands == 1 else 3], dtype=np.uint8)


def pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two dates (height, width, 3) of patches of 8 pixels, which survive resampling."""
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8) for _ in range(2))
    return tuple(image.repeat(8, 0).repeat(8, 1)[:height, :width] for image in (first, second))  # type: ignore[return-value]


def tensor(image: np.ndarray) -> torch.Tensor:
    """Return an image as a batch (1, bands, height, width) in [0, 1]."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def land_cover(rng: np.random.Generator, classes: int, everywhere: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes of both dates from 1, 0 for unchanged pixels unless `everywhere`, and the mask of change."""
    first, second = (np.kron(rng.integers(1, classes + 1, (8, 8), dtype=np.uint8), np.ones((8, 8), np.uint8)) for _ in range(2))
    mask = np.kron(rng.random((8, 8)) < 0.3, np.ones((8, 8))).astype(np.uint8)
    mask[:8, :8] = 1
    second = np.where((first == second) & (mask == 1), first % classes + 1, second)
    second = np.where(mask == 1, second, first) if everywhere else second * mask
    return (first if everywhere else first * mask), second.astype(np.uint8), mask


def values(sample: Sample) -> dict[str, list[int]]:
    """Return the values of each target."""
    return {name: target.unique().tolist() for name, target in sample.target.items()}


def colored(classes: np.ndarray, colors: list[tuple[int, int, int]]) -> np.ndarray:
    """Return the colors (SIDE, SIDE, 3) of classes."""
    return np.array(colors, np.uint8)[classes]


def write_second(root: Path, form: str, order: str = "A", splits: tuple[str, ...] = ("train", "test"), count: int = 2) -> None:
    """Write one of the four public layouts of SECOND: original, scannet, changemamba or opencd."""
    rng = np.random.default_rng(0)
    unchanged, names = second.ORDERS[order]
    colors = [unchanged, *(second.COLORS[name] for name in names)]
    dates, maps = (("T1", "T2"), ("GT_T1", "GT_T2")) if form == "changemamba" else (("im1", "im2"), ("label1", "label2"))
    for split in splits:
        for index in range(count):
            name = f"{split}_{index}.png"
            *covers, mask = land_cover(rng, 6)
            for date, kind, cover in zip(dates, maps, covers, strict=True):
                save(image(rng), root / split / date / name)
                save(colored(cover, colors) if form == "original" else cover, root / split / kind / name)
                if form == "scannet":
                    save(colored(cover, colors), root / split / f"{kind}_rgb" / name)
            if form == "changemamba":
                save(mask * 255, root / split / "GT_CD" / name)
            elif form == "opencd":
                save(mask, root / split / "label" / name)


def write_landsat_scd(root: Path, form: str = "transitions", names: tuple[str, ...] = tuple(map(str, range(20)))) -> None:
    """Write Landsat-SCD as transitions, or as two maps of numbers (`maps`) or colors (`colors`)."""
    rng = np.random.default_rng(0)
    pairs = [classes for _, classes in landsat_scd.TRANSITIONS]
    for name in names:
        transitions = np.kron(rng.integers(0, 10, (8, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
        for date, folder in enumerate("AB"):
            pixels = image(rng)
            pixels[-8:, -8:] = 255  # no data
            save(pixels, root / folder / f"{name}.png")
            cover = np.array([0, *(classes[date] for classes in pairs)], np.uint8)[transitions]
            if form == "maps":
                save(cover, root / f"label{folder}" / f"{name}.png")
            elif form == "colors":
                rgb = colored(cover, [landsat_scd.WHITE, *landsat_scd.COLORS.values()])
                rgb[-8:, -8:] = 0
                save(rgb, root / f"label{folder}_rgb" / f"{name}.png")
        if form == "transitions":
            save(transitions, root / "label" / f"{name}.png")


def write_hrscd(root: Path, count: int = 20) -> None:
    """Write HRSCD, in which the files of a pair have different names and all pixels have land cover."""
    rng = np.random.default_rng(0)
    for index in range(count):
        department = ("14", "35")[index % 2]
        first, second, mask = land_cover(rng, 5, everywhere=True)
        first[0, 0] = 0  # no information
        place, year = f"{400 + 5 * index:04d}-6890", "2006" if department == "35" else "2005"
        for date, name, cover in (("2006", f"{year}-{place}-LA93", first), ("2012", f"2012-{place}-LA93-0M50-E080", second)):
            save(image(rng), root / f"images_{date}" / date / f"D{department}" / f"{department}-{name}.tif")
            save(cover, root / f"labels_land_cover_{date}" / date / f"D{department}" / f"{department}-{name}.tif")
        save(mask, root / "labels_change" / "change" / f"D{department}" / f"{department}-2012-{place}-LA93-0M50-E080.tif")


def write_hi_ucd(root: Path, mini: bool) -> None:
    """Write Hi-UCD, whose labels are the three bands of one file."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test") if mini else ("train", "val"):
        years = ("2018", "2019") if split == "test" or not mini else ("2017", "2018")
        for index in range(2):
            *covers, mask = land_cover(rng, len(hi_ucd.COLORS), everywhere=True)
            label = np.stack([*covers, mask + 1], -1)
            label[-8:] = 0  # unlabeled
            part, name = Path("9") if mini else Path(), f"{split}{index}.png"
            for year in years:
                save(image(rng), root / split / ("" if mini else "image") / year / part / name)
            save(label, root / split / ("mask_merge" if mini else "mask") / "_".join(years) / part / name)


def write_xbd(root: Path, form: str = "targets") -> None:
    """Write xBD in the layout of the challenge (`targets`), or in that of ChangeMamba (`masks`)."""
    rng = np.random.default_rng(0)
    for split in ("train", "test", "hold") if form == "targets" else ("train", "test"):
        for index in range(3):
            grades = np.kron(rng.integers(0, 5, (8, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
            grades[0, 0] = 255  # not graded
            tile = "_0" if form == "masks" and split == "train" else ""
            for date, label in (("pre", (grades > 0).astype(np.uint8)), ("post", grades)):
                event = f"{split}-fire"
                name = f"{event}_{date}_disaster_{index:08d}{tile}" if tile else f"{event}_{index:08d}_{date}_disaster"
                save(image(rng), root / split / "images" / f"{name}.png")
                save(label, root / split / form / f"{name}{'_target' if form == 'targets' else ''}.png")


def write_bright(root: Path, events: tuple[str, ...] = ("bata-explosion", "noto-earthquake")) -> None:
    """Write BRIGHT: optical images of three bands (none of Ukraine), radar of one band, and the lists of the splits."""
    rng = np.random.default_rng(0)
    names: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for event in events:
        for split, numbers in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
            for number in numbers:
                name = f"{event}_{number:08d}"
                names[split].append(name)
                if event != "ukraine-conflict":
                    save(image(rng), root / "pre-event" / f"{name}_pre_disaster.tif")
                save(image(rng, 1), root / "post-event" / f"{name}_post_disaster.tif")
                grades = np.kron(rng.integers(0, 4, (8, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
                save(grades, root / "target" / f"{name}_building_damage.tif")
    for split, listed in names.items():
        (root / "standard_ML").mkdir(exist_ok=True)
        (root / "standard_ML" / f"{split}_set.txt").write_text("\n".join(listed) + "\n")


WRITERS = {
    "second": lambda root: write_second(root, "original"),
    "landsat_scd": write_landsat_scd,
    "hrscd": write_hrscd,
    "hi_ucd": lambda root: write_hi_ucd(root, mini=False),
    "hi_ucd_mini": lambda root: write_hi_ucd(root, mini=True),
    "xbd": write_xbd,
    "bright": write_bright,
}
"""For each data set with classes: a function that writes a small copy to a folder."""

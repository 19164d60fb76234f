"""Colors of ground materials at one date."""

from __future__ import annotations

from dataclasses import dataclass

from cdzoo.data.synthetic.plan import RGB
from cdzoo.data.synthetic.shapes import Random

BARES: tuple[RGB, ...] = (
    (208, 190, 158), (190, 166, 132), (174, 142, 112), (156, 134, 110), (218, 208, 188), (168, 120, 90), (132, 118, 104),
    (200, 194, 182),
)  # fmt: skip
DRIES: tuple[RGB, ...] = (
    (182, 164, 118),
    (154, 138, 102),
    (134, 118, 90),
    (112, 100, 82),
    (104, 94, 86),
    (142, 124, 110),
    (126, 122, 92),
)
GREENS: tuple[RGB, ...] = ((92, 104, 64), (78, 94, 58), (66, 86, 48), (104, 116, 74), (84, 92, 70))
LUSHES: tuple[RGB, ...] = ((48, 66, 38), (56, 74, 44), (62, 72, 48), (44, 62, 50))
TREES: tuple[RGB, ...] = ((44, 60, 36), (54, 66, 40), (38, 58, 46), (62, 70, 44), (50, 54, 40))
CROPS: tuple[RGB, ...] = (
    (96, 110, 66), (74, 96, 56), (128, 124, 84), (150, 138, 104), (108, 94, 80), (88, 76, 72), (120, 108, 106),
    (168, 156, 118), (70, 84, 60),
)  # fmt: skip
STOPS = (0.0, 0.3, 0.5, 0.72, 1.0)


@dataclass(frozen=True)
class Palette:
    """Colors of a date.

    Attributes:
        colors: RGB and texture strength by material.
        ramp: Colors of open ground at the vegetation levels `STOPS`, from bare to lush.
        tree: Color of leaves.
        wood: Color of trees without leaves.
    """

    colors: dict[str, tuple[int, int, int, int]]
    ramp: tuple[RGB, ...]
    tree: RGB
    wood: RGB


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Return the color between `a` (share 0) and `b` (share 1)."""
    r, g, b_ = (int(x + share * (y - x)) for x, y in zip(a, b, strict=True))
    return r, g, b_


def draw_palette(rand: Random, soil: RGB, season: float) -> Palette:
    """Sample the colors of a date from the soil of the site and the season, -1 dry to 1 lush."""
    bare, dry = mix(soil, rand.choice(BARES), 0.25 * rand.random()), rand.choice(DRIES)
    green, lush = rand.choice(GREENS), rand.choice(LUSHES)
    lawn = mix(dry, green, min(1.0, max(0.0, 0.6 + season + rand.uniform(-0.3, 0.3))))
    water = rand.choice(((44, 56, 54), (60, 80, 72), (70, 86, 98), (36, 44, 40), (96, 104, 92), (30, 42, 60)))
    gray, pale, drive = rand.uniform(72, 140), rand.uniform(150, 212), rand.uniform(176, 232)
    colors = {
        "grass": (*mix(dry, green, 0.5 + 0.5 * season), 170),
        "dry": (*dry, 150),
        "lawn": (*mix(lawn, lush, 0.3 * rand.random()), 120),
        "bare": (*bare, 110),
        "soil": (*mix(bare, (96, 82, 70), rand.uniform(0.3, 0.9)), 130),
        "mud": (*mix(bare, (110, 104, 98), rand.uniform(0.4, 1)), 80),
        "track": (*mix(bare, (226, 220, 204), rand.uniform(0.2, 0.9)), 60),
        "asphalt": (*_gray(gray, rand), 40),
        "concrete": (*_gray(pale, rand), 36),
        "curb": (*_gray(rand.uniform(150, 214), rand), 30),
        "walk": (*_gray(rand.uniform(160, 216), rand), 36),
        "drive": (*_gray(drive, rand), 36),
        "slab": (*_gray(rand.uniform(180, 240), rand), 36),
        "paint": (*_gray(rand.uniform(180, 225), rand), 30),
        "fence": (*rand.choice(((120, 98, 76), (88, 78, 68), (150, 128, 104))), 60),
        "water": (*water, 10),
        "pool": (*rand.choice(((80, 160, 180), (60, 140, 170), (110, 180, 190), (50, 100, 110))), 16),
        "crop0": (*rand.choice(CROPS), 130),
        "crop1": (*rand.choice(CROPS), 130),
        "crop2": (*rand.choice(CROPS), 150),
    }
    wood = rand.choice(((112, 102, 92), (128, 112, 98), (98, 94, 90)))
    return Palette(colors, (bare, mix(bare, dry, 0.6), dry, green, lush), rand.choice(TREES), wood)


def _gray(level: float, rand: Random) -> RGB:
    warm = rand.uniform(-3, 10)
    return int(level + warm / 2), int(level), int(level - warm)

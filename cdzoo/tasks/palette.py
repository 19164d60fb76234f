"""Default colors of classes. Black means "no change" and gray (128, 128, 128) "no label", so no class has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cdzoo.constants import RGB

NO_CHANGE: RGB = (0, 0, 0)
CHANGE: RGB = (255, 60, 60)
BUILDING: RGB = (255, 255, 255)

_NAMED: dict[str, RGB] = {
    "water": (40, 110, 240),
    "ground": (200, 180, 150),
    "bare": (190, 140, 90),
    "desert": (240, 200, 120),
    "low vegetation": (150, 215, 90),
    "grass": (150, 215, 90),
    "farmland": (215, 225, 70),
    "agricultural": (215, 225, 70),
    "tree": (20, 130, 50),
    "forest": (20, 130, 50),
    "wood": (20, 130, 50),
    "wetland": (70, 190, 180),
    "building": (215, 60, 50),
    "artificial": (215, 60, 50),
    "road": (250, 250, 250),
    "playground": (245, 120, 200),
    "sport": (245, 120, 200),
    "greenhouse": (150, 90, 220),
    "bridge": (255, 160, 60),
}
"""Colors of names that contain these words."""
_OTHERS: tuple[RGB, ...] = (
    (235, 70, 60),
    (60, 130, 240),
    (250, 200, 40),
    (50, 180, 90),
    (180, 90, 220),
    (250, 140, 40),
    (70, 210, 220),
    (240, 110, 180),
    (165, 110, 60),
    (170, 220, 70),
    (120, 120, 250),
    (0, 120, 110),
    (250, 190, 190),
    (200, 200, 255),
    (130, 30, 60),
    (240, 240, 240),
)
_RAMP = ((60, 180, 90), (245, 220, 60), (245, 140, 40), (200, 40, 50))


def class_colors(names: Sequence[str]) -> tuple[RGB, ...]:
    """Return different colors of classes: natural ones of land cover that is known by its name, or else distinct ones."""
    colors: list[RGB] = []
    for name in names:
        known = [color for word, color in _NAMED.items() if word in name.lower()]
        free = [color for color in (*known, *_OTHERS) if color not in colors]
        colors.append(free[0] if free else different(_OTHERS[len(colors) % len(_OTHERS)], colors))
    return tuple(colors)


def grade_colors(count: int) -> tuple[RGB, ...]:
    """Return colors of grades of damage, from green to red."""
    places = np.linspace(0, len(_RAMP) - 1, count)
    channels = [np.interp(places, range(len(_RAMP)), channel).round().astype(int) for channel in zip(*_RAMP, strict=True)]
    colors: list[RGB] = []
    for red, green, blue in zip(*channels, strict=True):
        colors.append(different((int(red), int(green), int(blue)), colors))
    return tuple(colors)


def from_to_colors(colors: Sequence[RGB]) -> tuple[RGB, ...]:
    """Return the colors of from-to codes: that of no change, then mixtures of the color before (35 %) and after (65 %)."""
    found: list[RGB] = [NO_CHANGE]
    for before in colors:
        for after in colors:
            red, green, blue = (round(0.35 * a + 0.65 * b) for a, b in zip(before, after, strict=True))
            found.append(different((red, green, blue), found))
    return tuple(found)


def different(color: RGB, used: Sequence[RGB]) -> RGB:
    """Return the color, or a similar one if it is used."""
    red, green, blue = color
    for step in range(256):
        changed = (red, green, (blue + 7 * step) % 256)
        if changed not in used:
            return changed
    return different((red, (green + 1) % 256, blue), used)

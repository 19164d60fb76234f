"""Drawing roofs, cars, gardens and car parks with a pen. Colours carry a fourth value: how much texture is laid over them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PIL import ImageDraw

from cdzoo.data.synthetic.camera import Conditions
from cdzoo.data.synthetic.furnish import slots
from cdzoo.data.synthetic.plan import RGB, Building, Yard
from cdzoo.data.synthetic.shapes import Rect

Draw = ImageDraw.ImageDraw
Color = tuple[int, int, int, int]
SHINGLES, METAL, PAVED = 62, 16, 40


def lit(color: Iterable[float], light: float, roughness: int) -> Color:
    """Return a colour under `light`, with `roughness` in [0, 255], as a fill."""
    r, g, b = (int(min(255, c * light)) for c in color)
    return r, g, b, roughness


def seasoned(color: Iterable[float], season: float) -> RGB:
    """Return a ground colour in `season`: vegetation turns brown when dry, anything else stays."""
    r, g, b = color
    if g >= b + 8:
        r, g, b = r + 17 * season, g + 8 * season, b + 11 * season
    return int(r), int(g), int(b)


def draw_disc(pen: Draw, x: float, y: float, r: float, fill: int | Color) -> None:
    """Fill a disc."""
    pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def draw_yard(pen: Draw, dark: Draw, yard: Yard, sky: Conditions) -> None:
    """Draw a lawn, the fence around its back with the fence's shadow, and the pool."""
    wear, rect = yard.wear, yard.rect
    lawn = seasoned((58 + 50 * wear, 74 + 26 * wear, 46 + 38 * wear), sky.season)
    pen.polygon(rect.corners(), fill=(*lawn, 140))
    back, front, side = yard.side * rect.width / 2, -0.05 * yard.side * rect.width, rect.length / 2
    fence = [rect.at(-side, front), rect.at(-side, back), rect.at(side, back), rect.at(side, front)]
    pen.line(fence, fill=(98, 88, 74, 120))
    dx, dy = sky.shadow(0.9)
    dark.line([(x + dx / 2, y + dy / 2) for x, y in fence], fill=200, width=2)
    if yard.pool:
        x, y, r = yard.pool
        draw_disc(pen, x, y, r + 1.5, (172, 166, 154, PAVED))
        draw_disc(pen, x, y, r, (70 + int(50 * sky.season), 128, 140 - int(30 * sky.season), 20))


def draw_park(pen: Draw, park: Rect, pale: bool) -> None:
    """Draw a car park with the lines between its spaces."""
    tone = 158 if pale else 104
    pen.polygon(park.corners(), fill=(tone, tone - 2, tone - 8, PAVED))
    paint = (206, 206, 200, PAVED)
    for edge in (-1, 1):
        kerb, end = edge * (park.width / 2 - 2), edge * (park.width / 2 - 12)
        for spot in slots(park):
            pen.line((park.at(spot - 3, kerb), park.at(spot - 3, end)), fill=paint)


def draw_car(pen: Draw, car: Rect, color: RGB, sky: Conditions) -> None:
    """Draw a car, its panes and its shadow."""
    pen.polygon(car.corners(move=sky.shadow(0.8)), fill=(30, 31, 34, 0))
    pen.polygon(car.corners(), fill=lit(color, 0.95, 0))
    pen.polygon(Rect(*car.at(1.2, 0), car.length * 0.2, car.width * 0.8, car.angle).corners(), fill=lit(color, 0.4, 0))


def draw_building(pen: Draw, building: Building, sky: Conditions, canvas: tuple[int, int]) -> None:
    """Draw the roofs of a building: the main one, then those of the wings that run into it."""
    height, width = canvas
    for i, wing in enumerate(building.wings):
        if not wing.near(width, height, 4):
            continue
        if building.flat:
            _flat_roof(pen, wing, building.color, sky)
        elif i == 0:
            _hip_roof(pen, wing, building.color, sky)
        else:
            _gable(pen, wing, building.color, sky)


def _flat_roof(pen: Draw, wing: Rect, color: RGB, sky: Conditions) -> None:
    light = 0.42 + 0.66 * math.sin(sky.elevation)
    pen.polygon(wing.corners(), fill=lit(color, light * 1.14, METAL))
    pen.polygon(wing.corners(-1.2), fill=lit(color, light, METAL))
    # Everything on the roof is placed by the roof's own numbers: the same at both dates.
    count, half = int(wing.length // 7), wing.width / 2 - 1.5
    for i in range(1, count):  # seams of the sheets
        along = i * wing.length / count - wing.length / 2
        pen.line((wing.at(along, -half), wing.at(along, half)), fill=lit(color, light * (0.9 if i % 3 else 0.8), METAL))
    for i in range(int(wing.length // 16)):
        place = wing.at((i + 0.5) * 16 - wing.length / 2, (((i * 7 + int(wing.x)) % 11) / 11 - 0.5) * wing.width * 0.6)
        unit = Rect(*place, 3.5, 2.8, wing.angle)
        pen.polygon(unit.corners(move=sky.shadow(1.0)), fill=lit(color, light * 0.35, METAL))
        pen.polygon(unit.corners(), fill=lit((158, 160, 160), light, METAL))


def _hip_roof(pen: Draw, wing: Rect, color: RGB, sky: Conditions) -> None:
    turn, long, short = wing.angle, wing.length / 2, wing.width / 2
    if short > long:
        turn, long, short = turn + math.pi / 2, short, long
    roof = Rect(wing.x, wing.y, 2 * long, 2 * short, turn)
    a, b, c, d = roof.at(-long, -short), roof.at(long, -short), roof.at(long, short), roof.at(-long, short)
    start, end = roof.at(short - long, 0), roof.at(long - short, 0)  # of the ridge
    for quarter, face in ((0, (b, c, end)), (2, (d, a, start)), (1, (c, d, start, end)), (3, (a, b, end, start))):
        pen.polygon(face, fill=lit(color, sky.lambert(turn + quarter * math.pi / 2), SHINGLES))
    pen.line((start, end), fill=lit(color, 1.14, SHINGLES))


def _gable(pen: Draw, wing: Rect, color: RGB, sky: Conditions) -> None:
    """Draw the roof of a wing, its ridge running back into the main roof as far as its slopes carry it."""
    front, back, half = wing.length / 2, -wing.length / 2, wing.width / 2
    tip, end = wing.at(back - half * 0.9, 0), wing.at(front, 0)
    for side in (-1, 1):
        face = (wing.at(front, side * half), end, tip, wing.at(back, side * half))
        pen.polygon(face, fill=lit(color, sky.lambert(wing.angle + side * math.pi / 2), SHINGLES))
    pen.line((tip, end), fill=lit(color, 1.1, SHINGLES))

"""Drawing of roofs, cars, yards and parking lots. The fourth band of a color is the strength of the texture applied later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from PIL import ImageDraw

from cdzoo.data.synthetic.camera import Conditions
from cdzoo.data.synthetic.plan import RGB, Building, Yard
from cdzoo.data.synthetic.shapes import Face, Point, Rect, gable_faces, hip_faces
from cdzoo.data.synthetic.surroundings import parking_spaces

Draw = ImageDraw.ImageDraw
Color = tuple[int, int, int, int]
SHINGLES, METAL, PAVED = 62, 16, 40


def lit_color(color: Iterable[float], light: float, roughness: int) -> Color:
    """Return a color scaled by `light`, with the texture strength `roughness` in [0, 255] as the fourth band."""
    r, g, b = (int(min(255, c * light)) for c in color)
    return r, g, b, roughness


def seasonal_color(color: Iterable[float], season: float) -> RGB:
    """Return a ground color in `season`, 0 green to 1 dry: greenish colors become browner, others are unchanged."""
    r, g, b = color
    if g >= b + 8:
        r, g, b = r + 17 * season, g + 8 * season, b + 11 * season
    return int(r), int(g), int(b)


def lawn_color(yard: Yard, season: float) -> RGB:
    """Return the color of the lawn of a yard, greener with less wear."""
    wear = yard.wear
    return seasonal_color((58 + 50 * wear, 74 + 26 * wear, 46 + 38 * wear), season)


def furrows(field: Rect) -> Iterator[tuple[Point, Point]]:
    """Yield the ends of the furrows of a field."""
    for i in range(int(field.width // 5)):
        across = 5 * i + 2 - field.width / 2
        yield field.at(-field.length / 2, across), field.at(field.length / 2, across)


def draw_disc(draw: Draw, x: float, y: float, r: float, fill: int | Color) -> None:
    """Draw a filled disc of center (x, y) and radius `r`."""
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def draw_yard(draw: Draw, dark: Draw, yard: Yard, conditions: Conditions) -> None:
    """Draw a lawn, the fence of its backyard, the shadow of the fence on `dark`, and the pool."""
    rect = yard.rect
    draw.polygon(rect.corners(), fill=(*lawn_color(yard, conditions.season), 140))
    back, front, side = yard.side * rect.width / 2, -0.05 * yard.side * rect.width, rect.length / 2
    fence = [rect.at(-side, front), rect.at(-side, back), rect.at(side, back), rect.at(side, front)]
    draw.line(fence, fill=(98, 88, 74, 120))
    dx, dy = conditions.shadow_offset(0.9)
    dark.line([(x + dx / 2, y + dy / 2) for x, y in fence], fill=200, width=2)
    if yard.pool:
        x, y, r = yard.pool
        draw_disc(draw, x, y, r + 1.5, (172, 166, 154, PAVED))
        draw_disc(draw, x, y, r, (70 + int(50 * conditions.season), 128, 140 - int(30 * conditions.season), 20))


def draw_parking_lot(draw: Draw, parking_lot: Rect, pale: bool) -> None:
    """Draw a parking lot with the lines between its spaces."""
    tone = 158 if pale else 104
    draw.polygon(parking_lot.corners(), fill=(tone, tone - 2, tone - 8, PAVED))
    paint = (206, 206, 200, PAVED)
    for side in (-1, 1):
        curb, end = side * (parking_lot.width / 2 - 2), side * (parking_lot.width / 2 - 12)
        for along in parking_spaces(parking_lot):
            draw.line((parking_lot.at(along - 3, curb), parking_lot.at(along - 3, end)), fill=paint)


def draw_car(draw: Draw, car: Rect, color: RGB, conditions: Conditions) -> None:
    """Draw a car with its window and shadow."""
    draw.polygon(car.corners(offset=conditions.shadow_offset(0.8)), fill=(30, 31, 34, 0))
    draw.polygon(car.corners(), fill=lit_color(color, 0.95, 0))
    draw.polygon(Rect(*car.at(1.2, 0), car.length * 0.2, car.width * 0.8, car.angle).corners(), fill=lit_color(color, 0.4, 0))


def draw_building(draw: Draw, building: Building, conditions: Conditions, canvas: tuple[int, int]) -> None:
    """Draw the roofs of a building, the main one first and then those of the wings."""
    height, width = canvas
    for i, wing in enumerate(building.wings):
        if wing.near(width, height, 4):
            draw_roof = _flat_roof if building.flat else _gable if i else _hip_roof
            draw_roof(draw, wing, building.color, conditions)


def _flat_roof(draw: Draw, wing: Rect, color: RGB, conditions: Conditions) -> None:
    light = 0.42 + 0.66 * math.sin(conditions.elevation)
    draw.polygon(wing.corners(), fill=lit_color(color, light * 1.14, METAL))
    draw.polygon(wing.corners(-1.2), fill=lit_color(color, light, METAL))
    # Positions on the roof depend on the roof only, so that they are the same at both dates.
    count, half = int(wing.length // 7), wing.width / 2 - 1.5
    for i in range(1, count):  # seams of the sheets
        along = i * wing.length / count - wing.length / 2
        draw.line((wing.at(along, -half), wing.at(along, half)), fill=lit_color(color, light * (0.9 if i % 3 else 0.8), METAL))
    for i in range(int(wing.length // 16)):
        position = wing.at((i + 0.5) * 16 - wing.length / 2, (((i * 7 + int(wing.x)) % 11) / 11 - 0.5) * wing.width * 0.6)
        unit = Rect(*position, 3.5, 2.8, wing.angle)
        draw.polygon(unit.corners(offset=conditions.shadow_offset(1.0)), fill=lit_color(color, light * 0.35, METAL))
        draw.polygon(unit.corners(), fill=lit_color((158, 160, 160), light, METAL))


def _hip_roof(draw: Draw, wing: Rect, color: RGB, conditions: Conditions) -> None:
    _shingles(draw, *hip_faces(wing), color, conditions, 1.14)


def _gable(draw: Draw, wing: Rect, color: RGB, conditions: Conditions) -> None:
    """Draw the gable roof of a wing, with the ridge extended into the main roof."""
    _shingles(draw, *gable_faces(wing, 0.9), color, conditions, 1.1)


def _shingles(
    draw: Draw, faces: list[Face], ridge: tuple[Point, Point], color: RGB, conditions: Conditions, level: float
) -> None:
    for direction, face in faces:
        draw.polygon(face, fill=lit_color(color, conditions.roof_light(direction), SHINGLES))
    draw.line(ridge, fill=lit_color(color, level, SHINGLES))

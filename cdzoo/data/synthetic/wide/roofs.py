"""Drawing of roofs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cdzoo.data.synthetic.plan import RGB
from cdzoo.data.synthetic.shapes import Face, Point, Rect, gable_faces, hip_faces
from cdzoo.data.synthetic.wide.site import House
from cdzoo.data.synthetic.wide.view import View

if TYPE_CHECKING:
    from cdzoo.data.synthetic.wide.paint import Pen

Color = tuple[int, int, int, int]


def draw_roof(pen: Pen, dark: Pen, house: House, offset: Point, view: View) -> None:
    """Draw the roof of a building at `offset`, the main wing first and then the others."""
    for i, wing in enumerate(house.wings):
        moved = Rect(wing.x + offset[0], wing.y + offset[1], wing.length, wing.width, wing.angle)
        if house.roof == "flat":
            _flat(pen, dark, moved, house, view)
        elif house.roof == "hip" and (i == 0 or wing.length > 1.5 * wing.width):
            _hip(pen, moved, house, view)
        else:
            _gable(pen, moved, house, view, extended=i > 0)


def _lit(color: RGB, light: float, roughness: int) -> Color:
    r, g, b = color
    return int(min(255, r * light)), int(min(255, g * light)), int(min(255, b * light)), roughness


def _flat(pen: Pen, dark: Pen, wing: Rect, house: House, view: View) -> None:
    """Draw a flat roof with its parapet, sections, seams and units, which depend on the building only."""
    draw, color, rough = house.detail, house.color, house.roughness
    pen.polygon(wing.corners(), _lit(color, 1.1 if draw < 0.6 else 0.8, rough))
    pen.polygon(wing.corners(-0.5), _lit(color, 1.0, rough))
    if draw < 0.2 and wing.length > 20:
        half = Rect(
            *wing.at(wing.length * 0.25 * (1 if draw < 0.1 else -1), 0), wing.length * 0.5 - 0.6, wing.width - 1.2, wing.angle
        )
        pen.polygon(half.corners(), _lit(color, 0.8 + draw, rough))
    across = wing.width / 2 - 0.6
    if 0.2 < draw < 0.6:
        step = 2 + 6 * (draw - 0.2)
        for i in range(1, min(60, int(wing.length // step))):
            along = i * step - wing.length / 2
            pen.line((wing.at(along, -across), wing.at(along, across)), _lit(color, 0.9 if i % 3 else 0.82, rough), 0.3)
    count = int(wing.length * wing.width / (60 + 900 * draw))
    shadow = view.shadow(1.2)
    for i in range(min(count, 40)):
        u, v = (math.modf(draw * 37 + i * ratio)[0] - 0.5 for ratio in (0.618, 0.445))
        size = 1 + 2 * math.modf(draw * 91 + i * 0.29)[0]
        unit = Rect(*wing.at(u * (wing.length - 4), v * (wing.width - 4)), size * 1.3, size, wing.angle)
        if min(wing.length, wing.width) > 8:
            pen.polygon(unit.corners(offset=shadow), _lit(color, view.ambient, rough))
            pen.polygon(unit.corners(), _lit((170, 172, 172), 1.0 if i % 4 else 0.6, rough))


def _hip(pen: Pen, wing: Rect, house: House, view: View) -> None:
    short = min(wing.length / 2, wing.width / 2)
    rise = view.lean[0] * short * math.tan(house.pitch), view.lean[1] * short * math.tan(house.pitch)
    faces, ridge = hip_faces(wing, rise)
    _faces(pen, faces, house, view)
    pen.line(ridge, _lit(house.color, 1.12, house.roughness), 0.35)


def _gable(pen: Pen, wing: Rect, house: House, view: View, extended: bool) -> None:
    """Draw a gable roof, with the ridge extended into the main roof for wings."""
    if wing.width > wing.length and not extended:
        wing = Rect(wing.x, wing.y, wing.width, wing.length, wing.angle + math.pi / 2)
    faces, ridge = gable_faces(wing, 0.9 * extended)
    _faces(pen, faces, house, view)
    if house.roughness < 30 and not extended:  # seams of metal sheets
        front, half = wing.length / 2, wing.width / 2
        for i in range(1, min(40, int(wing.length // 2))):
            along = i * 2 - front
            pen.line((wing.at(along, -half), wing.at(along, half)), _lit(house.color, 0.9, house.roughness), 0.2)
    pen.line(ridge, _lit(house.color, 1.1, house.roughness), 0.35)


def _faces(pen: Pen, faces: list[Face], house: House, view: View) -> None:
    for direction, face in faces:
        pen.polygon(face, _lit(house.color, view.light(house.pitch, direction), house.roughness))

"""Generation of footprints and roofs by neighborhood."""

from __future__ import annotations

import math

from cdzoo.data.synthetic.plan import RGB, Lot
from cdzoo.data.synthetic.shapes import Random, Rect
from cdzoo.data.synthetic.wide.site import House

SHINGLES: tuple[RGB, ...] = (
    (98, 97, 93), (108, 105, 98), (86, 86, 87), (72, 74, 78), (122, 116, 106), (132, 120, 106), (116, 94, 82), (104, 84, 72),
    (146, 134, 118), (92, 98, 108),
)  # fmt: skip
TILES: tuple[RGB, ...] = ((176, 104, 76), (158, 92, 70), (188, 124, 92), (150, 84, 66), (170, 130, 104), (128, 70, 58))
METALS: tuple[RGB, ...] = (
    (226, 227, 226), (200, 203, 204), (182, 186, 188), (168, 172, 174), (138, 146, 152), (150, 140, 128),
    (112, 130, 146), (112, 130, 120), (150, 100, 84), (70, 100, 144),
)  # fmt: skip
FLATS: tuple[RGB, ...] = (
    (240, 240, 236), (228, 228, 224), (208, 208, 206), (186, 186, 184), (160, 160, 158), (132, 132, 132), (106, 106, 108),
    (176, 166, 150), (150, 140, 128), (200, 192, 176), (84, 84, 88),
)  # fmt: skip
WALLS: tuple[RGB, ...] = ((196, 188, 172), (168, 150, 132), (222, 218, 208), (140, 112, 96), (150, 150, 150), (180, 160, 130))
ROUGHNESS = {"shingles": 66, "tiles": 56, "metal": 20, "flat": 24}


class Style:
    """Common roofs of a neighborhood; single buildings depart from them.

    Args:
        rand: Random numbers.
        kind: Key of `NEIGHBORHOODS`.
    """

    def __init__(self, rand: Random, kind: str) -> None:
        self.rand, self.kind = rand, kind
        self.spread = rand.uniform(0, 0.9) ** (1.0 if kind == "town" else 2.0)
        common = {"suburb": (0.75, 0.9, 0.97), "estate": (0.6, 0.9, 0.97), "country": (0.4, 0.5, 0.95)}.get(kind, (0.3, 0.6, 0.8))
        draw = rand.random()
        self.material = next((m for m, p in zip(("shingles", "tiles", "metal"), common, strict=True) if draw < p), "flat")
        self.color = self._color(self.material)
        self.flat = {"town": rand.uniform(0, 1), "commercial": rand.uniform(0.6, 1)}.get(kind, max(0.0, rand.uniform(-0.4, 0.2)))
        self.hip = rand.uniform(0.2, 1)

    def _color(self, material: str) -> RGB:
        return self.rand.choice({"shingles": SHINGLES, "tiles": TILES, "metal": METALS, "flat": FLATS}[material])

    def house(self, wings: tuple[Rect, ...], height: float, flat: bool | None = None) -> House:
        """Return a building of these wings with a roof in the style of the neighborhood."""
        rand = self.rand
        flat = rand.random() < self.flat if flat is None else flat
        material, color = self.material, self.color
        if rand.random() < self.spread:
            material = rand.choice(("shingles", "shingles", "shingles", "tiles", "metal"))
            color = self._color(material)
        if flat:
            material, color = "flat", self._color("flat")
        elif material == "flat":
            material = "metal"
        tone = rand.triangular(1, 0.07)
        r, g, b = (max(20, min(250, int(c * tone * rand.triangular(1, 0.02)))) for c in color)
        roof = "flat" if flat else "hip" if rand.random() < self.hip else "gable"
        pitch = rand.uniform(0.2, 0.75) if not flat else 0.0
        return House(wings, height, roof, pitch, (r, g, b), rand.choice(WALLS), ROUGHNESS[material], rand.random())


def build(style: Style, lot: Lot) -> tuple[list[House], Rect | None]:
    """Return the buildings of a lot, and the driveway that connects the first one with the street."""
    makers = {"suburb": _suburban, "estate": _estate, "town": _town, "commercial": _commercial, "country": _farm}
    return makers[style.kind](style, lot)


def wing(main: Rect, along: float, side: int, width: float, depth: float) -> Rect:
    """Return a wing that extends from a long side of the main wing by `depth`."""
    angle = main.angle + side * math.pi / 2
    return Rect(*main.at(along, side * (main.width / 2 + depth / 2 - 0.5)), depth + 1, width, angle)


def _drive(main: Rect, lot: Lot, along: float, front: float, width: float) -> Rect:
    reach = front + 2
    return Rect(*main.at(along, -lot.side * (main.width / 2 + reach / 2 - 1)), width, reach, main.angle)


def _suburban(style: Style, lot: Lot) -> tuple[list[House], Rect | None]:
    rand, towards = style.rand, -lot.side
    length, width = min(rand.uniform(0.62, 0.86) * lot.length, 20), min(rand.uniform(9, 15), lot.depth * 0.5)
    front = rand.uniform(4, 10)
    middle = towards * (lot.depth / 2 - front - width / 2)
    main = Rect(*lot.rect().at(rand.uniform(-0.7, 0.7), middle), length, width, lot.angle + rand.triangular(0, 0.03))
    end, garage = rand.choice((-1, 1)), rand.uniform(5, 7)
    spot, porch = end * (length / 2 - garage / 2), rand.uniform(0.5, 5)
    wings = [main, wing(main, spot, towards, garage, porch)]
    for _ in range(int(rand.uniform(0, 3.3))):
        wide = rand.uniform(4, 0.6 * length)
        along = rand.uniform(-0.5, 0.5) * (length - wide)
        wings.append(wing(main, along, -towards if rand.random() < 0.7 else towards, wide, rand.uniform(1, 4.5)))
    houses = [style.house(tuple(wings), rand.uniform(2.6, 6.5))]
    return houses, _drive(main, lot, spot, front + 2, garage - rand.uniform(0, 1.5))


def _estate(style: Style, lot: Lot) -> tuple[list[House], Rect | None]:
    rand = style.rand
    scale = rand.uniform(0.7, 1.3)
    length, width = rand.uniform(14, 26) * scale, rand.uniform(9, 13) * scale
    front = rand.uniform(0.15, 0.5) * lot.depth
    across = -lot.side * (lot.depth / 2 - front - width / 2)
    main = Rect(*lot.rect().at(rand.uniform(-0.2, 0.2) * lot.length, across), length, width, lot.angle + rand.triangular(0, 0.25))
    wings = [main]
    for _ in range(int(rand.uniform(1, 6))):
        wide = rand.uniform(4, 0.7 * length)
        along = rand.uniform(-0.55, 0.55) * (length - 0.5 * wide)
        wings.append(wing(main, along, rand.choice((-1, 1)), wide, rand.uniform(2, 11)))
    return [style.house(tuple(wings), rand.uniform(3, 8))], _drive(
        main, lot, rand.uniform(-0.4, 0.4) * length, front, rand.uniform(3, 6)
    )


def _town(style: Style, lot: Lot) -> tuple[list[House], Rect | None]:
    rand = style.rand
    length, width = rand.uniform(0.55, 0.95) * lot.length, rand.uniform(0.35, 0.85) * lot.depth
    slack = (lot.depth - width) / 2
    main = Rect(*lot.rect().at(0, rand.uniform(-slack, slack)), length, width, lot.angle + rand.triangular(0, 0.06))
    wings: tuple[Rect, ...] = (main,)
    if rand.random() < 0.35:
        wings += (
            wing(main, rand.uniform(-0.25, 0.25) * length, rand.choice((-1, 1)), rand.uniform(0.3, 0.6) * length, slack * 0.6),
        )
    return [style.house(wings, rand.uniform(2.5, 9))], None


def _commercial(style: Style, lot: Lot) -> tuple[list[House], Rect | None]:
    rand = style.rand
    length, width = rand.uniform(0.4, 0.85) * lot.length, rand.uniform(0.25, 0.7) * lot.depth
    main = Rect(
        *lot.rect().at(rand.uniform(-0.05, 0.05) * lot.length, lot.side * rand.uniform(-0.05, 0.12) * lot.depth),
        length,
        width,
        lot.angle,
    )
    height, draw = rand.uniform(4, 13) if rand.random() < 0.9 else rand.uniform(15, 40), rand.random()
    if draw < 0.25 and min(length, width) > 34:  # around a courtyard
        deep = rand.uniform(11, 16)
        sides = [Rect(*main.at(0, s * (width - deep) / 2), length, deep, lot.angle) for s in (-1, 1)]
        sides += [Rect(*main.at(s * (length - deep) / 2, 0), deep, width, lot.angle) for s in (-1, 1)[: rand.choice((1, 2))]]
        return [style.house(tuple(sides), height)], None
    if draw < 0.5 and width > 30:  # rows, as apartments, storage and schools
        deep, count = rand.uniform(8, 16), int(width // rand.uniform(20, 34)) + 1
        rows = [Rect(*main.at(0, (i + 0.5) * width / count - width / 2), length, deep, lot.angle) for i in range(count)]
        flat = rand.random() < style.flat
        return [style.house((row,), height, flat) for row in rows], None
    wings = [main]
    for _ in range(int(rand.uniform(0, 3))):
        wide = rand.uniform(0.2, 0.6) * length
        wings.append(wing(main, rand.uniform(-0.5, 0.5) * (length - wide), rand.choice((-1, 1)), wide, rand.uniform(3, 12)))
    return [style.house(tuple(wings), height)], None


def _farm(style: Style, lot: Lot) -> tuple[list[House], Rect | None]:
    rand = style.rand
    houses: list[House] = []
    first = None
    for i in range(int(rand.uniform(1, 4.5))):
        length, width = (rand.uniform(9, 18), rand.uniform(7, 12)) if i == 0 else (rand.uniform(4, 40), rand.uniform(3.5, 16))
        along, across = rand.uniform(-0.35, 0.35) * lot.length, rand.uniform(-0.3, 0.3) * min(lot.depth, 90)
        main = Rect(
            *lot.rect().at(along, across), length, width, lot.angle + rand.choice((0.0, math.pi / 2)) + rand.triangular(0, 0.1)
        )
        first = first or main
        wings: tuple[Rect, ...] = (main,)
        if i == 0 and rand.random() < 0.6:
            wings += (wing(main, rand.uniform(-0.2, 0.2) * length, rand.choice((-1, 1)), rand.uniform(4, 7), rand.uniform(2, 6)),)
        houses.append(style.house(wings, rand.uniform(2.5, 7)))
    assert first is not None
    return houses, Rect(*lot.rect().at(0, -lot.side * lot.depth * 0.25), rand.uniform(3, 5), lot.depth * 0.5, lot.angle)

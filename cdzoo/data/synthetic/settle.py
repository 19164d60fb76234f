"""Which lots are built on at each date, and with what; the only part of a plan that is labelled."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from cdzoo.data.synthetic.plan import RGB, Building, Lot, Plan, Story, Yard
from cdzoo.data.synthetic.shapes import Dice, Points, Rect, inside_any

ROOFS: tuple[RGB, ...] = ((98, 97, 93), (108, 105, 98), (88, 87, 87), (122, 116, 106), (130, 120, 106), (116, 94, 82))
FLAT_ROOFS: tuple[RGB, ...] = (
    (226, 226, 222), (206, 207, 207), (172, 175, 177), (240, 240, 237), (140, 146, 148), (128, 142, 158), (168, 160, 146)
)  # fmt: skip
_Circled = tuple[float, float, float, Rect]  # a footprint and the circle around it: x, y, radius
GAP = 3.0  # between two buildings, in pixels


def settle(dice: Dice, plan: Plan, lots: list[Lot], story: Story) -> None:
    """Put buildings on the lots, by date, and yards, driveways and car parks with them."""
    density = dice.between(0.6, 0.97)
    common = dice.pick(ROOFS)
    spread = dice.between(0, 0.6)  # of roof colours: some quarters have one, some have all
    centres = np.array([(lot.x, lot.y) for lot in lots]).reshape(-1, 2)
    ahead = story.ahead(centres).tolist()
    fates = [_fate(dice, story, side, density) for side in ahead]
    if story.kind != "nothing" and lots and not {"appears", "disappears", "grows"} & set(fates):
        fates[int(np.argmin(np.hypot(*(centres - story.centre).T)))] = "appears"
    streets = np.concatenate([*plan.streets[1], np.zeros((0, 2))])
    taken: list[_Circled] = []  # at either date: what is labelled must never touch what is not
    placed: list[tuple[Lot, str, Building, list[Rect]]] = []
    for lot, fate in zip(lots, fates, strict=True):
        if fate == "empty":
            continue
        roof = dice.pick(ROOFS) if dice.roll() < spread else common
        building, paved = _works(dice, lot) if plan.works else _house(dice, lot, roof)
        if _clear_of(building.wings, taken) and _off_streets(building.wings, streets, plan.street_width):
            taken.extend(map(_circled, building.wings))
            placed.append((lot, fate, building, paved))
    for lot, fate, building, paved in placed:
        later = building
        if fate == "grows":
            extra = _extension(dice, building)
            others = [one for one in taken if one[3] not in building.wings]
            if _clear_of((extra,), others) and _off_streets((extra,), streets, plan.street_width):
                taken.append(_circled(extra))
                later = Building((*building.wings, extra), building.height, building.flat, building.color)
        garden = lot.rect()
        pool = (*garden.at(dice.between(-9, 9), lot.side * lot.depth * 0.33), dice.between(3.0, 5.0))
        yard = Yard(garden, lot.side, dice.roll(), pool if dice.roll() < 0.05 else None)
        for date, stands in enumerate((fate != "appears", fate != "disappears")):
            if stands:
                plan.buildings[date].append(later if date else building)
                (plan.parks if plan.works else plan.drives)[date].extend(paved)
                if not plan.works:
                    plan.yards[date].append(yard)


def _fate(dice: Dice, story: Story, ahead: bool, density: float) -> str:
    built, draw = dice.roll() < density, dice.roll()
    if story.new_streets and ahead:
        return "appears" if built and story.kind != "nothing" else "empty"
    if story.kind == "nothing" or (story.kind != "infill" and not ahead):
        return "stays" if built else "empty"
    if story.kind != "infill":
        sudden = "appears" if story.kind == "quarter" else "disappears"
        return "empty" if not built else sudden if draw < 0.92 else "stays"
    if draw < 0.14:
        return "appears"
    return "empty" if not built else "disappears" if draw < 0.19 else "grows" if draw > 0.84 else "stays"


def _clear_of(wings: tuple[Rect, ...], taken: list[_Circled]) -> bool:
    """Say whether wings stand clear of other buildings."""
    x, y = wings[0].x, wings[0].y
    reach = max(math.hypot(u - x, v - y) + r for u, v, r, _ in map(_circled, wings)) + GAP
    near = [w for u, v, r, w in taken if (u - x) ** 2 + (v - y) ** 2 < (reach + r) ** 2]
    return not near or not (inside_any(near, _frames(wings), GAP).any() or inside_any(list(wings), _frames(near), GAP).any())


def _off_streets(wings: tuple[Rect, ...], streets: Points, street_width: float) -> bool:
    """Say whether wings stand clear of the streets, given by points of their centre lines: in a bend, lots may not."""
    points = _frames(wings)
    reach = street_width / 2 + 4
    streets = streets[((streets > points.min(0) - reach) & (streets < points.max(0) + reach)).all(1)]
    return not (np.square(points[:, None] - streets).sum(-1) < reach * reach).any()


def _circled(rect: Rect) -> _Circled:
    return rect.x, rect.y, math.hypot(rect.length, rect.width) / 2, rect


def _frames(rects: Iterable[Rect]) -> Points:
    """Return corners, middles of sides and centres: close enough together that no building slips between them."""
    points = []
    for rect in rects:
        corners = rect.corners()
        points += corners
        points += [((x + u) / 2, (y + v) / 2) for (x, y), (u, v) in zip(corners, corners[1:] + corners[:1], strict=True)]
        points.append((rect.x, rect.y))
    return np.array(points)


def _house(dice: Dice, lot: Lot, color: RGB) -> tuple[Building, list[Rect]]:
    length, width = dice.between(0.66, 0.8) * lot.length, dice.between(20, 27)
    tilt = lot.angle + dice.around(0, 0.03)
    front = dice.between(13, 20)  # from the front of the house to the edge of the lot
    towards = -lot.side  # the street
    base = lot.rect()
    main = Rect(*base.at(dice.between(-1.5, 1.5), towards * (lot.depth / 2 - front - width / 2)), length, width, tilt)
    end = dice.pick((-1, 1))
    garage = dice.between(11, 13.5)
    spot = end * (length / 2 - garage / 2)
    porch = dice.between(3, 9)
    wings = [main, _wing(main, spot, towards, garage, porch)]
    if dice.roll() < 0.6:  # into the garden
        wide = dice.between(9, 15)
        wings.append(_wing(main, dice.between(-0.5, 0.5) * (length - wide), -towards, wide, dice.between(3, 9)))
    if dice.roll() < 0.45:  # a small gable beside the garage
        wings.append(_wing(main, -spot * dice.between(0.6, 1.0), towards, dice.between(8, 11), dice.between(1.5, 4)))
    reach = front - porch + 5
    drive = Rect(*main.at(spot, towards * (width / 2 + porch + reach / 2 - 1)), garage - dice.between(1, 3.5), reach, tilt)
    r, g, b = (int(c * dice.around(1, 0.02)) for c in color)
    return Building(tuple(wings), dice.between(3.4, 5.6), False, (r, g, b)), [drive]


def _wing(main: Rect, along: float, side: int, width: float, deep: float) -> Rect:
    """Return a wing that stands out of a long side of the main footprint by `deep`."""
    turn = main.angle + side * math.pi / 2
    return Rect(*main.at(along, side * (main.width / 2 + deep / 2 - 1)), deep + 2, width, turn)


def _works(dice: Dice, lot: Lot) -> tuple[Building, list[Rect]]:
    length, width = dice.between(0.5, 0.8) * lot.length, dice.between(0.4, 0.66) * lot.depth
    main = Rect(*lot.rect().at(dice.between(-5, 5), lot.side * dice.between(0, 8)), length, width, lot.angle)
    wings = [main]
    if dice.roll() < 0.4:  # offices in front
        wide = dice.between(0.3, 0.6) * length
        wings.append(_wing(main, dice.between(-0.5, 0.5) * (length - wide), -lot.side, wide, dice.between(4, 9)))
    park = Rect(lot.x, lot.y, lot.length - 4, lot.depth + 6, lot.angle)
    return Building(tuple(wings), dice.between(5, 9), True, dice.pick(FLAT_ROOFS)), [park]


def _extension(dice: Dice, building: Building) -> Rect:
    main, end, share = building.wings[0], dice.pick((0, 1)), dice.between(0.5, 0.85)
    deep = dice.between(18, 32) if building.flat else dice.between(8, 13)
    turn = main.angle + end * math.pi
    middle = main.length / 2 + deep / 2 - 1
    return Rect(*main.at(-middle if end else middle, 0), deep + 2, main.width * share, turn)

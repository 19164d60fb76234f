"""What is never labelled: trees, cars, fields, tracks. With pseudo-changes these differ between the dates."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cdzoo.data.synthetic.plan import RGB, Lot, Plan, Story
from cdzoo.data.synthetic.shapes import Dice, Point, Rect, ribbons

CARS: tuple[RGB, ...] = (
    (232, 232, 232), (225, 226, 228), (34, 36, 40), (48, 50, 54), (122, 126, 130), (168, 170, 172), (142, 36, 32), (44, 62, 104)
)  # fmt: skip
SOILS: tuple[RGB, ...] = ((182, 164, 136), (158, 140, 112), (126, 112, 92), (104, 94, 80))
CROPS: tuple[RGB, ...] = ((92, 100, 62), (74, 90, 54), (122, 116, 80), (142, 130, 98), (104, 92, 76))
SLOT = 6.0  # of a car park, in pixels
BORDER = 12  # around the canvas, in which trees still reach into it


def furnish(
    rng: np.random.Generator, dice: Dice, plan: Plan, lots: list[Lot], story: Story, canvas: tuple[int, int], pseudo: bool
) -> None:
    """Add everything but buildings and what comes with them.

    Args:
        rng: Source of random arrays.
        dice: Source of single random numbers.
        plan: Where it goes.
        lots: Ground beside the streets; empty ones may be cleared.
        story: What happens between the dates.
        canvas: (height, width).
        pseudo: Let these things change between the dates.
    """
    _plant(rng, plan, canvas, pseudo)
    _park(rng, plan, canvas, pseudo)
    _farm(dice, plan, lots, story, canvas, pseudo)
    _tread(dice, plan, canvas, pseudo)


def _plant(rng: np.random.Generator, plan: Plan, canvas: tuple[int, int], pseudo: bool) -> None:
    """Scatter trees off the streets; where a building comes or goes they are there before or after."""
    height, width = canvas
    area = height * width
    spots = [rng.uniform((-BORDER, -BORDER), (width + BORDER, height + BORDER), (rng.poisson(area / rng.uniform(900, 4000)), 2))]
    for _ in range(rng.poisson(area / 26000)):
        spots.append(rng.normal(rng.uniform((0, 0), (width, height)), rng.uniform(8, 26), (rng.integers(8, 24), 2)))
    points = np.concatenate(spots)
    points = points[((points >= -BORDER) & (points < np.array((width, height)) + BORDER)).all(1)]
    radius = rng.gamma(5, 0.85, len(points)).clip(1.6, 10)
    growth = rng.uniform(0.9, 1.2, len(points)) if pseudo else np.ones(len(points))
    felled = rng.random(len(points)) < 0.06 * pseudo
    kept = []
    for date in (0, 1):
        free = _open_ground(plan, date, canvas)[tuple((points[:, ::-1] + BORDER).astype(int).T)]
        crowns = np.column_stack([points, radius * growth if date else radius])
        kept.append(crowns[free & ~felled] if date else crowns[free])
    plan.trees = (kept[0], kept[1])


def _open_ground(plan: Plan, date: int, canvas: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return where a trunk can stand, on the canvas with `BORDER` around it."""
    height, width = canvas
    image = Image.new("L", (width + 2 * BORDER, height + 2 * BORDER), 1)
    pen, move = ImageDraw.Draw(image), (BORDER, BORDER)
    for line in plan.streets[1]:  # at both dates, or a wood would stand in the way of new streets
        pen.polygon(ribbons(line + BORDER, (plan.street_width + 12,))[0], fill=0)
    for rect in plan.drives[date] + plan.parks[date]:
        pen.polygon(rect.corners(1.5, move), fill=0)
    for building in plan.buildings[date]:
        for wing in building.wings:
            pen.polygon(wing.corners(3.5, move), fill=0)
    return np.asarray(image) > 0


def _park(rng: np.random.Generator, plan: Plan, canvas: tuple[int, int], pseudo: bool) -> None:
    """Put cars on driveways, car parks and streets."""
    height, width = canvas
    seed = int(rng.integers(2**31))
    # Numbers are drawn for the places of both dates, used or not: without pseudo-changes a car is then not moved by the next.
    drives = list(dict.fromkeys(plan.drives[0] + plan.drives[1]))
    parks = list(dict.fromkeys(plan.parks[0] + plan.parks[1]))
    for date in (0, 1):
        dice = Dice(np.random.default_rng([seed, date * pseudo]))
        there = {*plan.drives[date], *plan.parks[date]}
        places: list[tuple[Point, float, bool]] = []
        for rect in drives:
            taken, spot = dice.roll() < 0.45, dice.between(-0.2, 0.2) * rect.width
            if taken:
                places.append((rect.at(0, spot), rect.angle + math.pi / 2, rect in there))
        for rect in parks:
            full, shown = dice.between(0.1, 0.75), rect in there
            for spot in slots(rect):
                for edge in (-1, 1):
                    if dice.roll() < full:
                        places.append((rect.at(spot, edge * (rect.width / 2 - 7)), rect.angle + math.pi / 2, shown))
        for line in plan.streets[date]:
            for (x, y), (next_x, next_y) in pairwise(line.tolist()):
                if dice.roll() < 0.07:
                    turn, aside = math.atan2(next_y - y, next_x - x), plan.street_width * dice.pick((-0.28, 0.28))
                    places.append(((x - aside * math.sin(turn), y + aside * math.cos(turn)), turn, True))
        for (x, y), turn, shown in places:
            car, color = Rect(x, y, dice.between(8, 10.5), dice.between(3.6, 4.4), turn), dice.pick(CARS)
            if shown and car.near(width, height, 4):
                plan.cars[date].append((car, color))


def slots(park: Rect) -> list[float]:
    """Return where along a car park the middles of its parking spaces are."""
    return np.arange(-park.length / 2 + 9, park.length / 2 - 9, SLOT).tolist()


def _farm(dice: Dice, plan: Plan, lots: list[Lot], story: Story, canvas: tuple[int, int], pseudo: bool) -> None:
    """Lay patches of crop and bare soil; between the dates some are ploughed, sown or cleared."""
    height, width = canvas
    angle = lots[0].angle if lots else 0.0
    if story.new_streets and dice.roll() < 0.6:  # the ground of the new quarter, levelled
        reach = float(height + width)
        x = story.centre[0] + math.cos(story.direction) * (story.border + reach / 2)
        y = story.centre[1] + math.sin(story.direction) * (story.border + reach / 2)
        plan.fields[0].append((Rect(x, y, reach, reach, story.direction), dice.pick(SOILS), False))
    for _ in range(int(dice.between(0, 1.4 + height * width / 40000))):
        rect = Rect(dice.between(0, width), dice.between(0, height), dice.between(40, 150), dice.between(40, 110), angle)
        colors = (dice.pick(CROPS + SOILS), dice.pick(CROPS + SOILS))
        furrowed, same = dice.roll() < 0.5, not pseudo or dice.roll() < 0.5
        there = (dice.roll() < 0.7, dice.roll() < 0.7)
        for date in (0, 1):
            if there[0 if same else date]:
                plan.fields[date].append((rect, colors[0 if same else date], furrowed))
    for lot in lots:  # plots cleared but not built on look most like a change
        cleared, soil = pseudo and dice.roll() < 0.05, dice.pick(SOILS[:2])
        if cleared:
            plan.fields[dice.pick((0, 1, 1))].append((lot.rect(-2), soil, False))


def _tread(dice: Dice, plan: Plan, canvas: tuple[int, int], pseudo: bool) -> None:
    """Wear paths into open ground."""
    height, width = canvas
    for _ in range(int(dice.between(0, 3 + height * width / 60000))):
        x, y = dice.between(0, width), dice.between(0, height)
        turn, curve = dice.between(0, 2 * math.pi), dice.between(-0.07, 0.07)
        path: list[Point] = []
        for _ in range(24):
            path.append((x, y))
            turn += curve + dice.between(-0.12, 0.12)
            x, y = x + 9 * math.cos(turn), y + 9 * math.sin(turn)
        for date in (0, 1):
            if not pseudo or dice.roll() < 0.7:
                plan.tracks[date].append(path)

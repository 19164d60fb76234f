"""Unlabeled objects: trees, cars, fields and paths. With pseudo-changes they differ between the dates."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cdzoo.data.synthetic.plan import RGB, Lot, Plan, Scenario
from cdzoo.data.synthetic.shapes import Point, Random, Rect, ribbons

CARS: tuple[RGB, ...] = (
    (232, 232, 232), (225, 226, 228), (34, 36, 40), (48, 50, 54), (122, 126, 130), (168, 170, 172), (142, 36, 32), (44, 62, 104)
)  # fmt: skip
SOILS: tuple[RGB, ...] = ((182, 164, 136), (158, 140, 112), (126, 112, 92), (104, 94, 80))
CROPS: tuple[RGB, ...] = ((92, 100, 62), (74, 90, 54), (122, 116, 80), (142, 130, 98), (104, 92, 76))
SPACE_WIDTH = 6.0  # width of a parking space in pixels
BORDER = 12  # pixels around the canvas in which trees are placed, because their crowns may reach into it


def add_surroundings(
    rng: np.random.Generator, rand: Random, plan: Plan, lots: list[Lot], scenario: Scenario, size: tuple[int, int], pseudo: bool
) -> None:
    """Add trees, cars, fields and paths to a plan, in place.

    Args:
        rng: Random generator for arrays.
        rand: Random numbers for single values.
        plan: Plan with streets and buildings.
        lots: Lots of the plan; some are cleared.
        scenario: Change between the dates.
        size: Size of the canvas (height, width) in pixels.
        pseudo: Whether the objects change between the dates.
    """
    _add_trees(rng, plan, size, pseudo)
    _add_cars(rng, plan, size, pseudo)
    _add_fields(rand, plan, lots, scenario, size, pseudo)
    _add_paths(rand, plan, size, pseudo)


def _add_trees(rng: np.random.Generator, plan: Plan, size: tuple[int, int], pseudo: bool) -> None:
    """Add trees on ground that is free at each date, single and in clusters."""
    height, width = size
    area = height * width
    spots = [rng.uniform((-BORDER, -BORDER), (width + BORDER, height + BORDER), (rng.poisson(area / rng.uniform(900, 4000)), 2))]
    for _ in range(rng.poisson(area / 26000)):
        spots.append(rng.normal(rng.uniform((0, 0), (width, height)), rng.uniform(8, 26), (rng.integers(8, 24), 2)))
    points = np.concatenate(spots)
    points = points[((points >= -BORDER) & (points < np.array((width, height)) + BORDER)).all(1)]
    radius = rng.gamma(5, 0.85, len(points)).clip(1.6, 10)
    growth = rng.uniform(0.9, 1.2, len(points)) if pseudo else np.ones(len(points))
    felled = rng.random(len(points)) < 0.06 * pseudo
    trees = []
    for date in (0, 1):
        free = _open_ground(plan, date, size)[tuple((points[:, ::-1] + BORDER).astype(int).T)]
        crowns = np.column_stack([points, radius * growth if date else radius])
        trees.append(crowns[free & ~felled] if date else crowns[free])
    plan.trees = (trees[0], trees[1])


def _open_ground(plan: Plan, date: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return a mask of the ground that is free for trees, on the canvas extended by `BORDER`."""
    height, width = size
    image = Image.new("L", (width + 2 * BORDER, height + 2 * BORDER), 1)
    draw, offset = ImageDraw.Draw(image), (BORDER, BORDER)
    for line in plan.streets[1]:  # at both dates: streets are only added
        draw.polygon(ribbons(line + BORDER, (plan.street_width + 12,))[0], fill=0)
    for rect in plan.driveways[date] + plan.parking_lots[date]:
        draw.polygon(rect.corners(1.5, offset), fill=0)
    for building in plan.buildings[date]:
        for wing in building.wings:
            draw.polygon(wing.corners(3.5, offset), fill=0)
    return np.asarray(image) > 0


def _add_cars(rng: np.random.Generator, plan: Plan, size: tuple[int, int], pseudo: bool) -> None:
    """Add cars on driveways, parking lots and streets."""
    height, width = size
    seed = int(rng.integers(2**31))
    # Random numbers are drawn for the positions of both dates, so that without pseudo-changes cars do not depend on the date.
    driveways = list(dict.fromkeys(plan.driveways[0] + plan.driveways[1]))
    parking_lots = list(dict.fromkeys(plan.parking_lots[0] + plan.parking_lots[1]))
    for date in (0, 1):
        rand = Random(np.random.default_rng([seed, date * pseudo]))
        present = {*plan.driveways[date], *plan.parking_lots[date]}
        positions: list[tuple[Point, float, bool]] = []
        for rect in driveways:
            occupied, across = rand.random() < 0.45, rand.uniform(-0.2, 0.2) * rect.width
            if occupied:
                positions.append((rect.at(0, across), rect.angle + math.pi / 2, rect in present))
        for rect in parking_lots:
            occupancy, visible = rand.uniform(0.1, 0.75), rect in present
            for along in parking_spaces(rect):
                for side in (-1, 1):
                    if rand.random() < occupancy:
                        positions.append((rect.at(along, side * (rect.width / 2 - 7)), rect.angle + math.pi / 2, visible))
        for line in plan.streets[date]:
            for (x, y), (next_x, next_y) in pairwise(line.tolist()):
                if rand.random() < 0.07:
                    angle, lane = math.atan2(next_y - y, next_x - x), plan.street_width * rand.choice((-0.28, 0.28))
                    positions.append(((x - lane * math.sin(angle), y + lane * math.cos(angle)), angle, True))
        for (x, y), angle, visible in positions:
            car, color = Rect(x, y, rand.uniform(8, 10.5), rand.uniform(3.6, 4.4), angle), rand.choice(CARS)
            if visible and car.near(width, height, 4):
                plan.cars[date].append((car, color))


def parking_spaces(parking_lot: Rect) -> list[float]:
    """Return the positions of the centers of parking spaces along the length of a parking lot."""
    return np.arange(-parking_lot.length / 2 + 9, parking_lot.length / 2 - 9, SPACE_WIDTH).tolist()


def _add_fields(rand: Random, plan: Plan, lots: list[Lot], scenario: Scenario, size: tuple[int, int], pseudo: bool) -> None:
    """Add patches of crops and bare soil; with pseudo-changes, some change between the dates and lots are cleared."""
    height, width = size
    angle = lots[0].angle if lots else 0.0
    if scenario.new_streets and rand.random() < 0.6:  # bare soil before construction
        reach = float(height + width)
        x = scenario.center[0] + math.cos(scenario.direction) * (scenario.border + reach / 2)
        y = scenario.center[1] + math.sin(scenario.direction) * (scenario.border + reach / 2)
        plan.fields[0].append((Rect(x, y, reach, reach, scenario.direction), rand.choice(SOILS), False))
    for _ in range(int(rand.uniform(0, 1.4 + height * width / 40000))):
        rect = Rect(rand.uniform(0, width), rand.uniform(0, height), rand.uniform(40, 150), rand.uniform(40, 110), angle)
        colors = (rand.choice(CROPS + SOILS), rand.choice(CROPS + SOILS))
        furrowed, same = rand.random() < 0.5, not pseudo or rand.random() < 0.5
        present = (rand.random() < 0.7, rand.random() < 0.7)
        for date in (0, 1):
            if present[0 if same else date]:
                plan.fields[date].append((rect, colors[0 if same else date], furrowed))
    for lot in lots:  # cleared lots without a building are hard negatives
        cleared, soil = pseudo and rand.random() < 0.05, rand.choice(SOILS[:2])
        if cleared:
            plan.fields[rand.choice((0, 1, 1))].append((lot.rect(-2), soil, False))


def _add_paths(rand: Random, plan: Plan, size: tuple[int, int], pseudo: bool) -> None:
    """Add unpaved paths."""
    height, width = size
    for _ in range(int(rand.uniform(0, 3 + height * width / 60000))):
        x, y = rand.uniform(0, width), rand.uniform(0, height)
        angle, curvature = rand.uniform(0, 2 * math.pi), rand.uniform(-0.07, 0.07)
        path: list[Point] = []
        for _ in range(24):
            path.append((x, y))
            angle += curvature + rand.uniform(-0.12, 0.12)
            x, y = x + 9 * math.cos(angle), y + 9 * math.sin(angle)
        for date in (0, 1):
            if not pseudo or rand.random() < 0.7:
                plan.paths[date].append(path)

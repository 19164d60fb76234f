"""Contents of a site at both dates, and the settings of its neighborhood. Lengths are in meters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cdzoo.data.synthetic.plan import RGB
from cdzoo.data.synthetic.shapes import Point, Points, Rect


@dataclass(frozen=True)
class House:
    """Building or part of one.

    Attributes:
        wings: Footprints of the wings, the main wing first.
        height: Height of the eaves.
        roof: "hip", "gable" or "flat".
        pitch: Slope of the roof, in radians.
        color: RGB color of the roof.
        wall: RGB color of the walls.
        roughness: Strength of the texture, in [0, 255].
        detail: Seed of the details of flat roofs.
    """

    wings: tuple[Rect, ...]
    height: float
    roof: str
    pitch: float
    color: RGB
    wall: RGB
    roughness: int
    detail: float


@dataclass(frozen=True)
class Patch:
    """Area or line of one ground material.

    Attributes:
        points: Outline, or the points of a line.
        material: Key of `Palette.colors`.
        tone: Brightness factor.
        width: Width of the line; 0 for an area.
        clear: Whether no trees grow on it.
        furrows: Whether it is plowed or mown in rows.
    """

    points: Sequence[Point]
    material: str
    tone: float = 1.0
    width: float = 0.0
    clear: bool = True
    furrows: bool = False


@dataclass(frozen=True)
class Neighborhood:
    """Ranges (low, high) of the settings of one kind of neighborhood.

    Attributes:
        pitch: Distance of parallel streets.
        lot: Length of a lot along the street.
        street: Width of the roadways.
        density: Fraction of the lots that are built.
        woods: Range of the cover of woods, in [-1, 1]; negative for none.
        bend: Largest amplitude of the bends of streets.
        yards: Whether buildings have lawns.
    """

    pitch: tuple[float, float]
    lot: tuple[float, float]
    street: tuple[float, float]
    density: tuple[float, float]
    woods: tuple[float, float]
    bend: float
    yards: bool


NEIGHBORHOODS = {
    "suburb": Neighborhood((58, 84), (14, 24), (7, 10), (0.6, 1.0), (-0.3, 0.75), 18, True),
    "estate": Neighborhood((90, 170), (32, 70), (5, 8), (0.5, 0.95), (0.2, 0.9), 30, True),
    "town": Neighborhood((26, 46), (7, 15), (3, 7), (0.5, 1.0), (-0.8, 0.3), 8, False),
    "commercial": Neighborhood((90, 230), (40, 170), (8, 14), (0.4, 0.9), (-0.9, 0.3), 8, False),
    "country": Neighborhood((150, 500), (50, 140), (4, 8), (0.2, 0.7), (-0.4, 0.9), 40, False),
}


@dataclass
class Site:
    """Contents of a site. Tuples have one item per date, before and after.

    Attributes:
        kind: Key of `NEIGHBORHOODS`.
        size: Extent (width, height).
        woods: Cover of woods, in [-1, 1].
        ground: Patches from the lowest to the highest.
        houses: Buildings.
        trees: Single trees (N, 3) as x, y, radius.
        cars: Cars with their colors.
        streets: Points of the center lines of all streets (N, 2).
        street_width: Width of the roadways.
    """

    kind: str
    size: tuple[float, float]
    woods: float
    ground: tuple[list[Patch], list[Patch]] = field(default_factory=lambda: ([], []))
    houses: tuple[list[House], list[House]] = field(default_factory=lambda: ([], []))
    trees: tuple[Points, Points] = (np.zeros((0, 3)), np.zeros((0, 3)))
    cars: tuple[list[tuple[Rect, RGB]], list[tuple[Rect, RGB]]] = field(default_factory=lambda: ([], []))
    streets: Points = field(default_factory=lambda: np.zeros((0, 2)))
    street_width: float = 8.0

    def add(self, patch: Patch, dates: Sequence[int] = (0, 1)) -> None:
        """Add a patch to the ground of some dates."""
        for date in dates:
            self.ground[date].append(patch)

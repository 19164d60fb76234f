"""`SyntheticScenes`: a data set of pairs made on the spot, the same for the same seed wherever and in whatever order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

from cdzoo.data.synthetic.camera import MARGIN, draw_conditions
from cdzoo.data.synthetic.furnish import furnish
from cdzoo.data.synthetic.plan import Plan, lay_out
from cdzoo.data.synthetic.render import Texture, render
from cdzoo.data.synthetic.settle import settle
from cdzoo.data.synthetic.shapes import Dice


@dataclass(frozen=True)
class Scene:
    """One place at two dates.

    Attributes:
        before: (H, W, 3) uint8.
        after: (H, W, 3) uint8.
        mask: (H, W) uint8, 1 where a building stands at one date only; on the grid of `before`.
    """

    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


def make_scene(
    seed: int | list[int], size: int | tuple[int, int] = 256, *, change: bool = True, pseudo_changes: bool = True
) -> Scene:
    """Make a pair of aerial images of 0.5 m a pixel, and the truth.

    Labelled: buildings that appear, disappear or are extended (the extension alone). Not labelled: shadows, sun, season,
    light, haze, blur, noise, cars, trees, fields, and a displacement of the second date by up to 2 pixels; the mask keeps
    to the first.

    Args:
        seed: Non-negative integer or several of them; the same seed gives the same bytes.
        size: Side, or (height, width), in pixels; 32 to 2048.
        change: Let buildings change.
        pseudo_changes: Let everything else change too; without it the dates differ only around changed buildings.

    Raises:
        ValueError: An argument is out of range.
    """
    height, width = _checked(size)
    rng = np.random.default_rng(seed)
    dice = Dice(rng)
    canvas = height + 2 * MARGIN, width + 2 * MARGIN
    plan, lots, story = lay_out(dice, *canvas, change=change, pseudo_changes=pseudo_changes)
    settle(dice, plan, lots, story)
    furnish(rng, dice, plan, lots, story, canvas, pseudo_changes)
    texture = Texture(rng, *canvas)
    first = draw_conditions(rng, shifted=False)
    second = draw_conditions(rng, shifted=True) if pseudo_changes else first
    grain = int(rng.integers(2**31))
    before, after = (
        render(np.random.default_rng([grain, date * pseudo_changes]), plan, date, sky, texture)
        for date, sky in enumerate((first, second))
    )
    mask = _truth(plan, *canvas)[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    return Scene(before, after, np.ascontiguousarray(mask))


def _truth(plan: Plan, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return (height, width), 1 where a building stands at one date only."""
    roofs = []
    for buildings in plan.buildings:
        image = Image.new("L", (width, height))
        pen = ImageDraw.Draw(image)
        for building in buildings:
            for wing in building.wings:
                if wing.near(width, height, 0):
                    pen.polygon(wing.corners(), fill=1)
        roofs.append(np.asarray(image))
    return np.asarray(roofs[0] ^ roofs[1])


def _checked(size: int | tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = (size, size) if isinstance(size, int) else size
    except (TypeError, ValueError):
        raise ValueError(f"size must be a side or (height, width), got {size!r}") from None
    if not (32 <= height <= 2048 and 32 <= width <= 2048):
        raise ValueError(f"size must be 32 to 2048 pixels, got {height}x{width}")
    return height, width


class SyntheticScenes(Dataset[dict[str, Any]]):
    """Pairs made by `make_scene`, as a data set like any other.

    Args:
        length: Number of pairs.
        size: Side, or (height, width), in pixels; 32 to 2048.
        seed: Seed of the whole set; sets of different seeds share no scene.
        pseudo_changes: Let light, season, cars and the like change too.
        unchanged: Share of pairs without a real change, in [0, 1].

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        length: int = 512,
        size: int | tuple[int, int] = 256,
        seed: int = 0,
        pseudo_changes: bool = True,
        unchanged: float = 0.15,
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        if not 0 <= unchanged <= 1:
            raise ValueError(f"unchanged must be in [0, 1], got {unchanged}")
        self.length = length
        self.size = _checked(size)
        self.seed = seed
        self.pseudo_changes = pseudo_changes
        self.unchanged = unchanged

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return pair `index`: uint8 images (3, H, W), int64 mask (H, W) in {0, 1}, name.

        Raises:
            IndexError: `index` is not in [0, length).
        """
        if not 0 <= index < self.length:
            raise IndexError(f"index {index} of {self.length} scenes")
        change = np.random.default_rng([self.seed, index, 1]).random() >= self.unchanged
        scene = make_scene([self.seed, index], self.size, change=change, pseudo_changes=self.pseudo_changes)
        image_a, image_b = (torch.from_numpy(x).permute(2, 0, 1).contiguous() for x in (scene.before, scene.after))
        mask = torch.from_numpy(scene.mask).long()
        return {"image_a": image_a, "image_b": image_b, "mask": mask, "name": f"scene_{self.seed}_{index:05d}"}

"""`SyntheticScenes`: data set of procedurally generated pairs, deterministic for a given seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

from cdzoo.data.sample import Sample
from cdzoo.data.synthetic.buildings import add_buildings
from cdzoo.data.synthetic.camera import MARGIN, draw_conditions
from cdzoo.data.synthetic.plan import Plan, lay_out
from cdzoo.data.synthetic.render import Texture, render
from cdzoo.data.synthetic.shapes import Random
from cdzoo.data.synthetic.surroundings import add_surroundings
from cdzoo.data.synthetic.wide import make_wide_scene


@dataclass(frozen=True)
class Scene:
    """Pair of images with its change mask.

    Attributes:
        before: Image of the first date, (H, W, 3) uint8.
        after: Image of the second date, (H, W, 3) uint8.
        mask: Change mask (H, W) uint8, 1 where a building exists at one date only; aligned with `before`.
    """

    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


STYLES: dict[str, float] = {"default": 0.15, "wide": 0.3}
"""Styles of scenes, with the default fraction of pairs without change."""


def make_scene(
    seed: int | list[int],
    size: int | tuple[int, int] = 256,
    *,
    change: bool = True,
    pseudo_changes: bool = True,
    style: str = "default",
    resolution: float | None = None,
) -> Scene:
    """Generate a pair of aerial images and its change mask.

    Buildings that appear, disappear or are extended (the extension only) are labeled. Changes of shadows, sun, season, light,
    haze, blur, noise, cars, trees, fields, and the displacement of the second date by up to 2 pixels are not labeled; the mask
    is aligned with the first date.

    Style `"default"` draws suburbs and industrial areas at 0.5 m per pixel. Style `"wide"` draws suburbs, estates, dense towns,
    commercial areas, farms and empty country at 0.1 to 1 m per pixel, with construction sites, woods, fields and water, oblique
    views, and other colors, sharpness and compression at each date. Its second date is displaced by up to 6 pixels, and its mask
    marks the roof of a building where the image of the date at which it exists shows it.

    Args:
        seed: Non-negative integer or a list of them. The same seed returns the same bytes.
        size: Side length or (height, width) in pixels, 32 to 2048.
        change: Whether buildings change.
        pseudo_changes: Whether unlabeled objects and conditions change; if not, the dates differ only at changed buildings and
            their shadows.
        style: `"default"` or `"wide"`.
        resolution: Meters per pixel, 0.1 to 1, for style `"wide"`; by default drawn for each pair, most often near 0.5.

    Raises:
        ValueError: An argument is out of range.
    """
    height, width = _validate_size(size)
    _validate_style(style, resolution)
    if style == "wide":
        return Scene(*make_wide_scene(seed, (height, width), change, pseudo_changes, resolution))
    rng = np.random.default_rng(seed)
    rand = Random(rng)
    canvas = height + 2 * MARGIN, width + 2 * MARGIN
    plan, lots, scenario = lay_out(rand, *canvas, change=change, pseudo_changes=pseudo_changes)
    add_buildings(rand, plan, lots, scenario)
    add_surroundings(rng, rand, plan, lots, scenario, canvas, pseudo_changes)
    texture = Texture(rng, *canvas)
    first = draw_conditions(rng, shifted=False)
    second = draw_conditions(rng, shifted=True) if pseudo_changes else first
    grain = int(rng.integers(2**31))
    before, after = (
        render(np.random.default_rng([grain, date * pseudo_changes]), plan, date, conditions, texture)
        for date, conditions in enumerate((first, second))
    )
    mask = _change_mask(plan, *canvas)[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    return Scene(before, after, np.ascontiguousarray(mask))


def _change_mask(plan: Plan, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return the change mask (height, width) of the canvas, 1 where a building exists at one date only."""
    roofs = []
    for buildings in plan.buildings:
        image = Image.new("L", (width, height))
        draw = ImageDraw.Draw(image)
        for building in buildings:
            for wing in building.wings:
                if wing.near(width, height, 0):
                    draw.polygon(wing.corners(), fill=1)
        roofs.append(np.asarray(image))
    return np.asarray(roofs[0] ^ roofs[1])


def _validate_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return `size` as (height, width) after validation."""
    try:
        height, width = (size, size) if isinstance(size, int) else size
    except (TypeError, ValueError):
        raise ValueError(f"size must be an integer or (height, width), got {size!r}") from None
    if not (32 <= height <= 2048 and 32 <= width <= 2048):
        raise ValueError(f"size must be 32 to 2048 pixels, got {height}x{width}")
    return height, width


def _validate_style(style: str, resolution: float | None) -> None:
    """Raise if the style is unknown or does not have this resolution."""
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    if resolution is not None and not (style == "wide" and 0.1 <= resolution <= 1):
        raise ValueError(f"resolution must be 0.1 to 1 meters per pixel and needs style 'wide', got {resolution} for {style!r}")


@dataclass(eq=False)
class SyntheticScenes(Dataset[Sample]):
    """Data set of pairs generated by `make_scene`.

    Args:
        length: Number of pairs.
        size: Side length or (height, width) in pixels, 32 to 2048.
        seed: Seed of the data set. Data sets of different seeds have different pairs.
        pseudo_changes: Whether unlabeled objects and conditions change.
        unchanged: Fraction of pairs without building change, in [0, 1]; by default 0.15, and 0.3 for style `"wide"`.
        style: `"default"` or `"wide"`, see `make_scene`.
        resolution: Meters per pixel, 0.1 to 1, for style `"wide"`; drawn for each pair by default.

    Raises:
        ValueError: An argument is out of range.
    """

    length: int = 512
    size: int | tuple[int, int] = 256
    seed: int = 0
    pseudo_changes: bool = True
    unchanged: float | None = None
    style: str = "default"
    resolution: float | None = None

    def __post_init__(self) -> None:
        """Validate the arguments."""
        if self.length < 1:
            raise ValueError(f"length must be at least 1, got {self.length}")
        if self.seed < 0:
            raise ValueError(f"seed must be non-negative, got {self.seed}")
        _validate_style(self.style, self.resolution)
        if self.unchanged is None:
            self.unchanged = STYLES[self.style]
        if not 0 <= self.unchanged <= 1:
            raise ValueError(f"unchanged must be in [0, 1], got {self.unchanged}")
        self.size = _validate_size(self.size)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        """Return pair `index`: uint8 images (3, H, W), an int64 mask (H, W) in {0, 1}, and a name.

        Raises:
            IndexError: `index` is not in [0, length).
        """
        if not 0 <= index < self.length:
            raise IndexError(f"index {index} is out of range for {self.length} scenes")
        assert self.unchanged is not None  # set in __post_init__
        change = np.random.default_rng([self.seed, index, 1]).random() >= self.unchanged
        options: dict[str, Any] = {"pseudo_changes": self.pseudo_changes, "style": self.style, "resolution": self.resolution}
        scene = make_scene([self.seed, index], self.size, change=change, **options)
        images = tuple(torch.from_numpy(x).permute(2, 0, 1).contiguous() for x in (scene.before, scene.after))
        return Sample(images, {"mask": torch.from_numpy(scene.mask).long()}, f"scene_{self.seed}_{index:05d}")

"""`SyntheticScenes`: data set of procedurally generated pairs, deterministic for a given seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from cdzoo.data.sample import Sample
from cdzoo.data.synthetic.buildings import add_buildings
from cdzoo.data.synthetic.camera import MARGIN, draw_conditions
from cdzoo.data.synthetic.classes import TASKS
from cdzoo.data.synthetic.damage import add_damage
from cdzoo.data.synthetic.labels import building_mask, footprints, land_cover
from cdzoo.data.synthetic.plan import lay_out
from cdzoo.data.synthetic.render import Texture, render
from cdzoo.data.synthetic.shapes import Random
from cdzoo.data.synthetic.surroundings import add_surroundings
from cdzoo.data.synthetic.wide import make_wide_scene

STYLES: dict[str, float] = {"default": 0.15, "wide": 0.3}
"""Styles of scenes, with the default fraction of pairs without change."""


@dataclass(frozen=True)
class Scene:
    """Pair of images with its targets.

    Attributes:
        before: Image of the first date, (H, W, 3) uint8.
        after: Image of the second date, (H, W, 3) uint8.
        targets: Targets (H, W) uint8 by name; see `make_scene`.
    """

    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    targets: dict[str, npt.NDArray[np.uint8]]

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """Change mask, 1 where a building exists at one date only; the task `"damage"` has none."""
        return self.targets["mask"]


def make_scene(
    seed: int | list[int],
    size: int | tuple[int, int] = 256,
    *,
    change: bool = True,
    pseudo_changes: bool = True,
    style: str = "default",
    resolution: float | None = None,
    task: str = "binary",
) -> Scene:
    """Generate a pair of aerial images and its targets.

    Buildings that appear, disappear or are extended (the extension only) are labeled. Changes of shadows, sun, season, light,
    haze, blur, noise, cars, trees, fields, and the displacement of the second date by up to 2 pixels are not labeled; the mask
    is aligned with the first date.

    Style `"default"` draws suburbs and industrial areas at 0.5 m per pixel. Style `"wide"` draws suburbs, estates, dense towns,
    commercial areas, farms and empty country at 0.1 to 1 m per pixel, with construction sites, woods, fields and water, oblique
    views, and other colors, sharpness and compression at each date. Its second date is displaced by up to 6 pixels, and its mask
    marks the roof of a building where the image of the date at which it exists shows it.

    Task `"binary"` has the target `mask`. Task `"semantic"` has the same images and mask, and in `semantic_t1` and `semantic_t2`
    the land cover of all pixels, changed or not: 1 to 6 are the classes `LAND_COVER`. They are aligned with the mask, so exactly
    one date is a building where the mask is 1; in style `"wide"`, each is aligned with the image of its date. Task `"damage"` has
    buildings at the first date that are damaged or not at the second: `building` is 1 on their footprints, and `damage` is their
    grade, 1 to 4 as in `GRADES`, or 0 elsewhere.

    Args:
        seed: Non-negative integer or a list of them. The same seed returns the same bytes.
        size: Side length or (height, width) in pixels, 32 to 2048.
        change: Whether buildings change, or are damaged.
        pseudo_changes: Whether unlabeled objects and conditions change; if not, the dates differ only at changed or damaged
            buildings and their shadows.
        style: `"default"` or `"wide"`; the latter has no damage.
        resolution: Meters per pixel, 0.1 to 1, for style `"wide"`; by default drawn for each pair, most often near 0.5.
        task: `"binary"`, `"semantic"` or `"damage"`.

    Raises:
        ValueError: An argument is out of range.
    """
    height, width = _validate_size(size)
    _validate_style(style, resolution, task)
    if style == "wide":
        return Scene(*make_wide_scene(seed, (height, width), change, pseudo_changes, resolution, semantic=task == "semantic"))
    rng = np.random.default_rng(seed)
    rand = Random(rng)
    canvas = height + 2 * MARGIN, width + 2 * MARGIN
    damaged = task == "damage"
    plan, lots, scenario = lay_out(rand, *canvas, change=change and not damaged, pseudo_changes=pseudo_changes)
    add_buildings(rand, plan, lots, scenario)
    add_surroundings(rng, rand, plan, lots, scenario, canvas, pseudo_changes)
    grades = add_damage(rand, plan, canvas, spared=not change) if damaged else []
    texture = Texture(rng, *canvas)
    first = draw_conditions(rng, shifted=False)
    second = draw_conditions(rng, shifted=True) if pseudo_changes else first
    grain = int(rng.integers(2**31))
    (before, trees), (after, later_trees) = (
        render(np.random.default_rng([grain, date * pseudo_changes]), plan, date, conditions, texture)
        for date, conditions in enumerate((first, second))
    )
    if damaged:
        buildings = plan.buildings[0]
        targets = {"building": building_mask(plan, 0, canvas), "damage": footprints(buildings, grades, canvas)}
    else:
        targets = {"mask": building_mask(plan, 0, canvas) ^ building_mask(plan, 1, canvas)}
    if task == "semantic":
        targets["semantic_t1"] = land_cover(plan, 0, first, texture, trees)
        targets["semantic_t2"] = land_cover(plan, 1, second, texture, later_trees)
    inner = slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width)
    return Scene(before, after, {name: np.ascontiguousarray(target[inner]) for name, target in targets.items()})


def _validate_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return `size` as (height, width) after validation."""
    try:
        height, width = (size, size) if isinstance(size, int) else size
    except (TypeError, ValueError):
        raise ValueError(f"size must be an integer or (height, width), got {size!r}") from None
    if not (32 <= height <= 2048 and 32 <= width <= 2048):
        raise ValueError(f"size must be 32 to 2048 pixels, got {height}x{width}")
    return height, width


def _validate_style(style: str, resolution: float | None, task: str) -> None:
    """Raise if the style or task is unknown, or the style does not have this resolution or task."""
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    if task == "damage" and style == "wide":
        raise ValueError("style 'wide' has no damage; use style 'default'")
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
        unchanged: Fraction of pairs without building change or damage, in [0, 1]; by default 0.15, and 0.3 for style `"wide"`.
        style: `"default"` or `"wide"`, see `make_scene`.
        resolution: Meters per pixel, 0.1 to 1, for style `"wide"`; drawn for each pair by default.
        task: `"binary"`, `"semantic"` or `"damage"`, see `make_scene`.

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
    task: str = "binary"

    def __post_init__(self) -> None:
        """Validate the arguments."""
        if self.length < 1:
            raise ValueError(f"length must be at least 1, got {self.length}")
        if self.seed < 0:
            raise ValueError(f"seed must be non-negative, got {self.seed}")
        _validate_style(self.style, self.resolution, self.task)
        if self.unchanged is None:
            self.unchanged = STYLES[self.style]
        if not 0 <= self.unchanged <= 1:
            raise ValueError(f"unchanged must be in [0, 1], got {self.unchanged}")
        self.size = _validate_size(self.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes of land cover, or grades of damage; empty for the task `"binary"`."""
        return TASKS[self.task]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        """Return pair `index`: uint8 images (3, H, W), int64 targets (H, W) by name, see `make_scene`, and a name.

        Raises:
            IndexError: `index` is not in [0, length).
        """
        if not 0 <= index < self.length:
            raise IndexError(f"index {index} is out of range for {self.length} scenes")
        assert self.unchanged is not None  # set in __post_init__
        change = np.random.default_rng([self.seed, index, 1]).random() >= self.unchanged
        options: dict[str, Any] = {"pseudo_changes": self.pseudo_changes, "style": self.style, "resolution": self.resolution}
        scene = make_scene([self.seed, index], self.size, change=change, task=self.task, **options)
        images = tuple(torch.from_numpy(x).permute(2, 0, 1).contiguous() for x in (scene.before, scene.after))
        target = {name: torch.from_numpy(values).long() for name, values in scene.targets.items()}
        return Sample(images, target, f"scene_{self.seed}_{index:05d}")

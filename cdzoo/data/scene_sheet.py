"""Contact sheet of scenes: where their splits are, and some windows of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.labels import MaskLabels
from cdzoo.data.scene_samples import SceneSamples
from cdzoo.data.sheet import label_pictures, shown_pixels, thumbnail
from cdzoo.io.images import UInt8
from cdzoo.visualize import mask_picture, strip, with_legend

_SIDE = 240
_SCENES, _WINDOWS = 2, 6  # shown
_LOOKED_AT = 40  # windows of a split
_COLORS = {"train": (70, 160, 90), "val": (60, 110, 220), "test": (240, 140, 40), "all": (150, 90, 170)}
_TINT = 0.55


def scene_sheet(splits: Mapping[str, SceneSamples]) -> Image.Image:
    """Return a picture with a row for each of the first scenes, the last panel with its splits, and for windows of each split."""
    shown = list[list[UInt8]]()
    scenes = {scene.files.name: (samples, index) for samples in splits.values() for index, scene in enumerate(samples.scenes)}
    for name, (samples, index) in [*scenes.items()][:_SCENES]:
        grid = samples.scenes[index].grid
        step = max(1, -(-max(grid.height, grid.width) // (2 * _SIDE)))
        overviews = [shown_pixels(reader.overview(step)[0]) for reader in samples.opened(index)[:2]]
        shown.append([*overviews, _plan(overviews[0], step, name, splits)])
    per_split = max(1, _WINDOWS // len(splits))
    for samples in splits.values():
        shown += [_panels(samples, number) for number in _telling(samples, per_split)]
    width = max(map(len, shown))
    empty = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    rows = [[thumbnail(panel, _SIDE) for panel in panels] + [empty] * (width - len(panels)) for panels in shown]
    titles = ["before", "after", "splits; labels", *[""] * (width - 3)]
    return with_legend(strip(rows, titles), [(split, _COLORS[split]) for split in splits], "windows of the splits")


def _plan(overview: UInt8, step: int, name: str, splits: Mapping[str, SceneSamples]) -> UInt8:
    """Return the overview of a scene with the windows of each split in their color."""
    plan = overview.astype(np.float32)
    for split, samples in splits.items():
        for index, cell in samples.cells:
            if samples.scenes[index].files.name == name:
                rows, columns = (slice(max(0, span.start) // step, max(0, span.stop) // step) for span in cell.window.slices)
                plan[rows, columns] = (1 - _TINT) * plan[rows, columns] + _TINT * np.array(_COLORS[split])
                plan[rows.start : rows.start + 1, columns] = plan[rows, columns.start : columns.start + 1] = 255
    return plan.round().astype(np.uint8)


def _panels(samples: SceneSamples, number: int) -> list[UInt8]:
    """Return the pictures of a window: both dates and its targets."""
    index, cell = samples.cells[number]
    scene = samples.scenes[index]
    pixels, valid = scene.stored(samples.opened(index), cell.window)
    targets: Any = scene.targets(samples.labels, scene.grid.part(*cell.window.slices), np.logical_and.reduce(valid))
    if isinstance(samples.labels, MaskLabels):
        pictures = [mask_picture(targets["mask"])]
    else:
        pictures = [*label_pictures(samples.labels, targets).values()]
    panels = [*map(shown_pixels, pixels[:2]), *pictures]
    factor = _SIDE / max(panels[0].shape[:2])
    if factor <= 1:
        return panels
    height, width = (round(factor * length) for length in panels[0].shape[:2])
    return [np.asarray(Image.fromarray(panel).resize((width, height), Image.Resampling.NEAREST)) for panel in panels]


def _telling(samples: SceneSamples, count: int) -> list[int]:
    """Return windows with most changed pixels among some from everywhere."""
    spread = np.unique(np.linspace(0, len(samples) - 1, _LOOKED_AT).round().astype(int)).tolist()
    changed = dict[int, int]()
    for number in spread:
        index, cell = samples.cells[number]
        scene = samples.scenes[index]
        values = scene.targets(samples.labels, scene.grid.part(*cell.window.slices))[samples.labels.main]
        changed[number] = int(((values > 0) & (values != IGNORE_INDEX)).sum())
    return sorted(sorted(spread, key=lambda number: -changed[number])[:count])

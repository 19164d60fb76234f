"""Blocks of ground by which scenes are divided into splits, and the windows that are cut from them.

Blocks are squares of one size on the ground. They start at the upper left corner of the scenes of a coordinate reference system
and are counted from there, so that scenes of the same place have the same blocks, whatever their resolutions are. Every window
lies in one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from cdzoo.errors import ConfigError
from cdzoo.io.georeference import Grid
from cdzoo.tiling import Window, tile_windows

WINDOWS = 2
"""Windows along the side of a block by default."""
_DEGREE = 111_195.0  # meters


@dataclass(frozen=True)
class Cell:
    """Window of a scene, in its pixels.

    Attributes:
        block: Number of its block: column and row.
        window: The window, which may reach beyond the scene.
        around: What random crops are taken from: half a window more on each side, within the block and the scene.
    """

    block: tuple[int, int]
    window: Window
    around: Window


def scene_cells(grids: Sequence[Grid], tile: int, block: float | None = None) -> list[list[Cell]]:
    """Divide scenes into windows; return those of each scene, block by block.

    Args:
        grids: Grid of each scene. The result does not depend on their order.
        tile: Side of a window in pixels.
        block: Side of a block in meters, in pixels for scenes without coordinates, which is rounded to whole windows of the
            coarsest scene of a coordinate reference system; `WINDOWS` windows by default.

    Raises:
        ConfigError: A block is smaller than a window, or a window smaller than allowed, see `tile_windows`.
    """
    groups: dict[tuple[str, bytes], list[int]] = {}
    axes = [_axes(grid) for grid in grids]
    for index, grid in enumerate(grids):
        directions = np.round(axes[index][0], 9) + 0.0
        groups.setdefault(("" if grid.crs is None else grid.crs.to_wkt(), directions.tobytes()), []).append(index)
    found: list[list[Cell]] = [[] for _ in grids]
    for members in groups.values():
        coarsest = max(float(axes[index][1].max()) for index in members)
        side = coarsest * tile * _windows_of_block(grids[members[0]], coarsest * tile, tile, block)
        corner = np.min([axes[index][2] for index in members], 0)
        for index in members:
            _, size, start = axes[index]
            found[index] = [*_cells(grids[index], (start - corner) / size, side / size, tile)]
    return found


def _axes(grid: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the directions of columns and rows, the size of a pixel along them, and the place of the first corner along them."""
    at = grid.transform
    steps = np.array([[at.a, at.b], [at.d, at.e]])
    size = np.hypot(*steps)
    return steps / size, size, np.linalg.solve(steps / size, np.array([at.c, at.f]))


def _windows_of_block(grid: Grid, window: float, tile: int, block: float | None) -> int:
    """Return the number of windows along the side of a block, given the side of a window in coordinates."""
    if block is None:
        return WINDOWS
    unit = 1.0
    if grid.crs is not None and grid.crs.is_geographic:
        unit = _DEGREE
    elif grid.crs is not None and grid.crs.is_projected:
        unit = float(grid.crs.linear_units_factor[1])
    count = round(block / (window * unit))
    if count < 1:
        raise ConfigError(
            f"--block {block:g}: smaller than a window of {tile} pixels, which is {window * unit:.6g} m; pass a larger block, or "
            "a smaller --tile"
        )
    return count


def _cells(grid: Grid, start: npt.NDArray[np.float64], step: npt.NDArray[np.float64], tile: int) -> Iterator[Cell]:
    """Yield the windows of a scene, given the place of its corner in the blocks and their sides (x, y), both in its pixels."""
    (left, top), (width, height) = start.tolist(), step.tolist()
    columns, rows = _blocks(left, width, grid.width), _blocks(top, height, grid.height)
    for (row, down), (column, across) in product(rows, columns):
        for window in tile_windows(len(down), len(across), tile):
            y, x = down.start + window.y, across.start + window.x
            if y + window.height <= 0 or x + window.width <= 0 or y >= grid.height or x >= grid.width:
                continue
            around = Window.of(_around(y, window.height, down, grid.height), _around(x, window.width, across, grid.width))
            yield Cell((column, row), Window(y, x, window.height, window.width), around)


def _blocks(start: float, step: float, length: int) -> list[tuple[int, range]]:
    """Return the number and the pixels of each block along an axis of a scene; the pixels may lie outside."""
    first, last = int(np.floor(start / step + 1e-9)), int(np.ceil((start + length) / step - 1e-9))
    edges = [round(number * step - start) for number in range(first, last + 1)]
    return [(first + number, range(*edges[number : number + 2])) for number in range(last - first)]


def _around(start: int, side: int, block: range, length: int) -> range:
    return range(max(block.start, 0, start - side // 2), min(block.stop, length, start + side + side // 2))

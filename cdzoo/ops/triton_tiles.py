"""Sizes of the programs that the Triton kernels run as, chosen with ``benchmarks/scan_static.py`` or measured on a card.

The defaults are those with the lowest time bound of the static report among tiles that need no register spills on any of its
targets. :mod:`cdzoo.ops.tune` measures the candidates on a card and keeps its choice in a file, which is read here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

LANES = 32
trial: dict[str, int] = {}  # candidates that are being measured, by key; they come before those in the file


@dataclass(frozen=True)
class Tile:
    """What a program, one warp, holds in registers; see :mod:`cdzoo.ops.triton_kernels` for the axes.

    Attributes:
        rq: States of a lane, in groups of `rn`.
        rn: States of a lane that are adjacent in memory, at most 4.
        rd: Channels of a lane.
        ln: Lanes that share channels; `LANES / ln` lanes hold different channels.
        steps: Steps of an unrolled block.
        registers: Limit on the registers of a thread for fp32 maps; 0 leaves it to the compiler.
        half_registers: The same for maps in half precision; None for that of fp32.
    """

    rq: int
    rn: int
    rd: int
    ln: int
    steps: int
    registers: int = 0
    half_registers: int | None = None

    @property
    def channels(self) -> int:
        """Channels of a program."""
        return self.rd * LANES // self.ln

    @property
    def states(self) -> int:
        """States of a program, at least those of the problem."""
        return self.rq * self.rn * self.ln

    def limit(self, dtype: torch.dtype) -> int:
        """Return the limit on registers for a storage type."""
        return self.registers if self.half_registers is None or dtype == torch.float32 else self.half_registers

    def constants(self) -> dict[str, int]:
        """Return the compile-time arguments of a kernel."""
        sizes = {"RQ": self.rq, "RN": self.rn, "RD": self.rd, "LN": self.ln, "LD": LANES // self.ln}
        return sizes | {"T": self.steps}


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below a positive number."""
    return 1 << (number - 1).bit_length()


def candidates(kernel: str, state: int, channels: int) -> list[Tile]:
    """Return the tiles that a kernel may run with, the default first.

    Args:
        kernel: ``"segment_ends"``, ``"outputs"`` or ``"gradients"``.
        state: States N, at least 1.
        channels: Channels of the map, at least 1. Programs of many channels need fewer instructions per channel, unless most of
            the last program's channels do not exist.
    """
    padded = power_of_two(state)
    tiles = _backward_tiles(padded) if kernel == "gradients" else _forward_tiles(padded)
    return sorted(tiles, key=lambda tile: -(-channels // tile.channels) * tile.channels > 1.2 * max(channels, LANES))


def _forward_tiles(padded: int) -> list[Tile]:
    if padded <= 2:
        shapes = [(1, padded, 4, 2), (1, padded, 4, 4), (1, padded, 2, 2), (1, padded, 2, 4), (1, padded, 1, 8)]
    elif padded == 4:
        shapes = [(1, 4, 2, 2), (1, 4, 2, 4), (1, 4, 1, 2), (1, 4, 1, 4)]
    else:
        rq = min(4, padded // 4)
        shapes = [(rq, 4, 1, 2), (rq, 4, 1, 1), (rq, 4, 1, 4), (2, 4, 1, 2), (2, 4, 1, 4), (1, 4, 1, 4), (1, 4, 2, 2)]
    return [_fitted(padded, *shape) for shape in shapes]


def _backward_tiles(padded: int) -> list[Tile]:
    shapes: list[tuple[int, ...]]
    if padded <= 2:
        shapes = [(1, padded, rd, steps, 128) for rd, steps in ((4, 2), (4, 4), (2, 4), (2, 2), (1, 4))]
    elif padded == 4:
        shapes = [(1, 4, 2, 2, 128), (1, 4, 1, 4, 128), (1, 4, 1, 2, 128)]
    else:
        shapes = [(1, 4, 2, 4, 168, 192), (1, 4, 2, 2, 128), (1, 4, 1, 4, 128), (1, 4, 1, 2, 128)]
        shapes += [(2, 4, 1, 2, 128), (2, 4, 1, 2, 168), (2, 4, 1, 4, 168)]
    return [_fitted(padded, *shape) for shape in shapes]


def _fitted(padded: int, rq: int, rn: int, rd: int, steps: int, *limits: int) -> Tile:
    """Spread states over lanes; more than the lanes can hold go to registers."""
    lanes = min(LANES, padded // (rq * rn))
    return Tile(padded // (lanes * rn), rn, rd, lanes, steps, *limits)


def cache_file(device: torch.device) -> Path:
    """Return the file that holds the tiles measured on a card; it need not exist."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cdzoo"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return folder / f"scan-{''.join(c if c.isalnum() else '-' for c in name)}.json"


@lru_cache(maxsize=8)
def _measured(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def choose(kernel: str, state: int, channels: int, dtype: torch.dtype, device: torch.device) -> Tile:
    """Return the tile measured fastest on a card, if it was tuned, else the default."""
    name = key(kernel, state, channels, dtype)
    index = trial.get(name, _measured(cache_file(device)).get(name, 0))
    known = candidates(kernel, state, channels)
    return known[index] if isinstance(index, int) and 0 <= index < len(known) else known[0]


def key(kernel: str, state: int, channels: int, dtype: torch.dtype) -> str:
    """Return the name of an entry of the cache file."""
    return f"{kernel} N={state} D={channels} {str(dtype).removeprefix('torch.')}"


def forget() -> None:
    """Read the cache files again at the next call."""
    _measured.cache_clear()

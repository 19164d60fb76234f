"""`Journal`: storage of predicted blocks, from which an interrupted run resumes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np

from cdzoo.inference.blocks import ROWS_KEPT
from cdzoo.inference.sources import Array
from cdzoo.io.files import replace_atomically, write_text
from cdzoo.scenes.job import SceneJob

_JOB_FILE = "job.json"


class Journal:
    """Folder next to an output with a file for each predicted block, and with the border sums of the most recent blocks.

    Files of another job (other inputs, weights or settings) are removed.

    Args:
        output: Output file, written after all blocks are predicted.
        job: Inputs and settings of the prediction.
    """

    def __init__(self, output: Path, job: SceneJob) -> None:
        self.folder = output.with_name(f".{output.name}.blocks")
        text, file = job.to_json(), self.folder / _JOB_FILE
        if self.folder.exists() and (not file.is_file() or file.read_text(encoding="utf-8") != text):
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            write_text(file, text)

    def count(self, order: Iterable[tuple[int, int]]) -> int:
        """Return the number of consecutive stored blocks from the start of `order`."""
        return sum(1 for _ in takewhile(lambda block: self._file("block", *block).is_file(), order))

    def write(self, row: int, number: int, **arrays: Array) -> None:
        """Store the arrays of a block, atomically."""
        with replace_atomically(self._file("block", row, number)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def read(self, row: int, number: int, name: str) -> Array:
        """Return an array of a block."""
        with np.load(self._file("block", row, number)) as arrays:
            return np.asarray(arrays[name])

    def put(self, row: int, number: int, below: Array, right: Array) -> None:
        """Store the border sums of a block, and remove those that are no longer needed."""
        with replace_atomically(self._file("sums", row, number)) as temporary, temporary.open("wb") as file:
            np.savez(file, below=below, right=right)
        self._file("sums", row - ROWS_KEPT, number).unlink(missing_ok=True)

    def get(self, row: int, number: int) -> tuple[Array, Array]:
        """Return the border sums of a block."""
        with np.load(self._file("sums", row, number)) as arrays:
            return arrays["below"], arrays["right"]

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _file(self, kind: str, row: int, number: int) -> Path:
        return self.folder / f"{kind}_{row:06d}_{number:04d}.npz"

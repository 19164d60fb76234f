"""`Journal`: storage of predicted blocks, from which an interrupted run resumes."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cdzoo.errors import InputError
from cdzoo.inference.sources import Array
from cdzoo.io.files import beside, remove_temporary, replace_atomically, write_text
from cdzoo.scenes.job import SceneJob

_JOB_FILE = "job.json"
_OWN = re.compile(r"job\.json|map_.*|(block|sums)_\d+_\d+(\.npz|\.part)|\..*\.part(\..*)?|probability\.tif(\.aux\.xml)?")
_HASH_BYTES = hashlib.sha256().digest_size


class Journal:
    """Folder next to an output with a file for each predicted block: the sha256 of the arrays, and the arrays.

    Blocks of another job (other inputs, weights or settings) are removed.

    Args:
        output: Output file, written after all blocks are predicted.
        job: Inputs and settings of the prediction.

    Raises:
        InputError: The folder has files that are not those of a journal.
    """

    def __init__(self, output: Path, job: SceneJob) -> None:
        self.folder = beside(output, "blocks")
        text, file = job.to_json(), self.folder / _JOB_FILE
        if self.folder.exists() and not (file.is_file() and file.read_bytes() == text.encode()):
            self.remove()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            write_text(file, text)

    def missing(self, order: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the blocks of `order` that are not stored, or damaged."""
        return [block for block in order if self._intact(*block) is None]

    def write(self, row: int, number: int, **arrays: Array) -> None:
        """Store the arrays of a block, atomically."""
        data = io.BytesIO()
        np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
        with replace_atomically(self._file(row, number)) as temporary:
            temporary.write_bytes(hashlib.sha256(data.getbuffer()).digest() + data.getbuffer())

    def read(self, row: int, number: int, name: str) -> Array:
        """Return an array of a block.

        Raises:
            InputError: The file is missing or damaged.
        """
        data = self._intact(row, number)
        if data is None:
            raise InputError(f"{self._file(row, number)}: the stored block is damaged; run the same command again to repair it")
        with np.load(io.BytesIO(data)) as arrays:
            return np.asarray(arrays[name])

    def remove(self) -> None:
        """Remove the folder."""
        _remove(self.folder)

    def _intact(self, row: int, number: int) -> bytes | None:
        """Return the arrays of a stored block unless they are damaged."""
        try:
            data = self._file(row, number).read_bytes()
        except OSError:
            return None
        digest, data = data[:_HASH_BYTES], data[_HASH_BYTES:]
        return data if hashlib.sha256(data).digest() == digest else None

    def _file(self, row: int, number: int) -> Path:
        return self.folder / f"block_{row:06d}_{number:04d}.part"


def remove_leftovers(output: Path, files: Iterable[Path]) -> None:
    """Remove what a process that was killed left of an output that is complete: its journal, and temporary files.

    Args:
        output: Output file.
        files: All files that are written with it; no process may write them now.
    """
    folder = beside(output, "blocks")
    if folder.is_dir():
        _remove(folder)
        for file in files:
            remove_temporary(file)


def _remove(folder: Path) -> None:
    if not folder.is_dir() or any(not _OWN.fullmatch(file.name) for file in folder.iterdir()):
        raise InputError(f"{folder}: stores no blocks of an interrupted run, as its name says; move it away")
    shutil.rmtree(folder)

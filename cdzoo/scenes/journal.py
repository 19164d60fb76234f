"""Finished strips of a scene on disk, so that a run that is killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.files import replace_atomically, write_text

_JOB_FILE = "job.json"


class Journal:
    """A folder beside the output, with one file for each finished strip.

    Strips of another job (other inputs, model or settings) are removed, not continued.

    Args:
        output: The file that the strips will become.
        job: Everything that the result depends on, as JSON values.
    """

    def __init__(self, output: Path, job: dict[str, Any]) -> None:
        self.folder = output.with_name(f".{output.name}.strips")
        text = json.dumps(job, indent=2, sort_keys=True) + "\n"
        file = self.folder / _JOB_FILE
        if self.folder.exists() and (not file.is_file() or file.read_text(encoding="utf-8") != text):
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            write_text(file, text)

    def finished(self) -> int:
        """Return how many strips are finished, from the first one on without a gap."""
        count = 0
        while self._file(count).is_file():
            count += 1
        return count

    def write(self, index: int, **arrays: npt.NDArray[Any]) -> None:
        """Keep a strip."""
        with replace_atomically(self._file(index)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def read(self, index: int) -> dict[str, npt.NDArray[Any]]:
        """Return a strip."""
        with np.load(self._file(index)) as arrays:
            return dict(arrays)

    def remove(self) -> None:
        """Forget the strips; their scene is written."""
        shutil.rmtree(self.folder)

    def _file(self, index: int) -> Path:
        return self.folder / f"strip_{index:06d}.npz"


def state_hash(state: dict[str, Any]) -> str:
    """Return a sha256 over names and values of a state dict: two models of equal hash give equal maps."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

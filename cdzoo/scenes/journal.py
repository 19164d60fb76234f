"""Finished parts of a scene on disk, so that a run that is killed goes on where it was."""

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
    """A folder beside the output, with one file for each finished part of a strip.

    Parts of another job (other inputs, model or settings) are removed, not continued.

    Args:
        output: The file that the parts will become.
        job: Everything that the result depends on, as JSON values.
        parts: Parts of a strip.
    """

    def __init__(self, output: Path, job: dict[str, Any], parts: int) -> None:
        self.parts = parts
        self.folder = output.with_name(f".{output.name}.strips")
        text = json.dumps(job, indent=2, sort_keys=True) + "\n"
        file = self.folder / _JOB_FILE
        if self.folder.exists() and (not file.is_file() or file.read_text(encoding="utf-8") != text):
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            write_text(file, text)

    def finished(self) -> int:
        """Return how many strips are finished in all parts, from the first one on without a gap."""
        count = 0
        while all(self._file(count, part).is_file() for part in range(self.parts)):
            count += 1
        return count

    def write(self, strip: int, part: int, **arrays: npt.NDArray[Any]) -> None:
        """Keep a part."""
        with replace_atomically(self._file(strip, part)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def read(self, strip: int, part: int, name: str) -> npt.NDArray[Any]:
        """Return an array of a part."""
        with np.load(self._file(strip, part)) as arrays:
            return np.asarray(arrays[name])

    def remove(self) -> None:
        """Forget the parts; their scene is written."""
        shutil.rmtree(self.folder)

    def _file(self, strip: int, part: int) -> Path:
        return self.folder / f"strip_{strip:06d}_{part:04d}.npz"


def state_hash(state: dict[str, Any]) -> str:
    """Return a sha256 over names and values of a state dict: two models of equal hash give equal maps."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

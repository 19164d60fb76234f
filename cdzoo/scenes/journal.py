"""Finished parts of a scene on disk, so that a run that is killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.inference.blocks import STRIPS_CARRIED
from cdzoo.io.files import replace_atomically, write_text

Array = npt.NDArray[Any]
_JOB_FILE = "job.json"


class Journal:
    """A folder beside the output, with a file for each finished part, and what the last of them left to their neighbours.

    Parts of another job (other inputs, model or settings) are removed, not continued.

    Args:
        output: The file that the parts will become.
        job: Everything that the result depends on, as JSON values.
    """

    def __init__(self, output: Path, job: dict[str, Any]) -> None:
        self.folder = output.with_name(f".{output.name}.parts")
        text = json.dumps(job, indent=2, sort_keys=True) + "\n"
        file = self.folder / _JOB_FILE
        if self.folder.exists() and (not file.is_file() or file.read_text(encoding="utf-8") != text):
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            write_text(file, text)

    def finished(self, order: Iterable[tuple[int, int]]) -> int:
        """Return how many parts are finished, from the first one of the order on without a gap."""
        return sum(1 for _ in takewhile(lambda part: self._file("part", *part).is_file(), order))

    def write(self, strip: int, part: int, **arrays: Array) -> None:
        """Keep a finished part, which is finished from then on."""
        with replace_atomically(self._file("part", strip, part)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def read(self, strip: int, part: int, name: str) -> Array:
        """Return an array of a part."""
        with np.load(self._file("part", strip, part)) as arrays:
            return np.asarray(arrays[name])

    def put(self, strip: int, part: int, below: Array, beside: Array) -> None:
        """Keep what a part leaves to its neighbours, and forget what no part needs that may still have to be predicted."""
        with replace_atomically(self._file("carry", strip, part)) as temporary, temporary.open("wb") as file:
            np.savez(file, below=below, beside=beside)
        self._file("carry", strip - STRIPS_CARRIED, part).unlink(missing_ok=True)

    def get(self, strip: int, part: int) -> tuple[Array, Array]:
        """Return what a part has left."""
        with np.load(self._file("carry", strip, part)) as arrays:
            return arrays["below"], arrays["beside"]

    def remove(self) -> None:
        """Forget the parts; their scene is written."""
        shutil.rmtree(self.folder)

    def _file(self, kind: str, strip: int, part: int) -> Path:
        return self.folder / f"{kind}_{strip:06d}_{part:04d}.npz"


def state_hash(state: dict[str, Any]) -> str:
    """Return a sha256 over names and values of a state dict: two models of equal hash give equal maps."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

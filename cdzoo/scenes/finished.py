"""Outputs of an earlier run with the same inputs and settings."""

from __future__ import annotations

import time
from typing import Any

from cdzoo.inference.model import PairModel
from cdzoo.io.files import write_text
from cdzoo.scenes.journal import remove_leftovers
from cdzoo.scenes.outputs import Outputs
from cdzoo.scenes.result import SceneResult
from cdzoo.scenes.styles import style_files


def is_finished(outputs: Outputs, tag: str, job: str) -> bool:
    """Return whether the outputs exist and the maps are those of a job, whose hash they have as a tag."""
    import rasterio

    if not all(file.is_file() for file in outputs.files):
        return False
    try:
        for path in (outputs.mask, *outputs.further.values()):
            with rasterio.open(path, driver="GTiff") as file:
                if file.tags().get(tag) != job:
                    return False
    except rasterio.errors.RasterioError:
        return False
    return True


def finished_result(outputs: Outputs, model: PairModel, threshold: float, start: float, **further: Any) -> SceneResult:
    """Return the result of an earlier run; write styles that are missing, and remove what is left if it was killed at its end.

    Args:
        outputs: Files of the run.
        model: The model.
        threshold: Minimum probability.
        start: Reading of `time.monotonic` when the work began.
        further: Further attributes of the result.
    """
    remove_leftovers(outputs.mask, outputs.files)
    for file, text in style_files(outputs, model.task).items():
        if not file.exists():
            write_text(file, text)
    made: dict[str, Any] = {"further": dict(outputs.further), "styles": tuple(outputs.styles), "finished": True, **further}
    return SceneResult(outputs.mask, outputs.probability, None, 0, 0, time.monotonic() - start, 0, threshold, **made)

"""Checks of exported files against the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cdzoo.errors import ConfigError, require
from cdzoo.export.config import ExportCfg
from cdzoo.export.program import Deployed
from cdzoo.export.sizes import FileSizes

LIMITS = {"fp32": 1e-4, "fp16": 0.1, "int8": 0.5}
"""Largest error of an output of an ONNX file, as a share of its largest magnitude."""
PT2_LIMIT = 1e-6
Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]


def measure(module: Deployed, run: Run, cfg: ExportCfg, sizes: FileSizes) -> dict[str, float]:
    """Return the largest error of each output at two sizes, with one and three pairs, as a share of its largest magnitude.

    Args:
        module: The model.
        run: Runs the file.
        cfg: Options of the file.
        sizes: Sizes of the file.
    """
    errors = dict.fromkeys(module.output_names, 0.0)
    for number, batch in ((1, 1), (2, 3)):
        images = module.images(*sizes.example(number), cfg.batch or batch)
        with torch.no_grad():
            expected = module(*images)
        for name, wanted, found in zip(module.output_names, expected, run(images), strict=True):
            errors[name] = max(errors[name], relative_error(wanted, found))
    return errors


def relative_error(expected: Tensor, found: Tensor) -> float:
    """Return the largest difference of two tensors as a share of the largest magnitude of the first; inf for NaN."""
    if expected.shape != found.shape:
        return math.inf
    difference, largest = (expected - found).abs().max().item(), expected.abs().max().item()
    if not math.isfinite(difference):
        return math.inf
    return difference / largest if largest else (math.inf if difference else 0.0)


def require_small(errors: dict[str, float], limit: float, path: Path) -> None:
    """Raise `ConfigError` if the error of an output is above a limit; the message names both."""
    name, error = max(errors.items(), key=lambda item: item[1])
    if error > limit:
        raise ConfigError(
            f"{path}: not written: its output '{name}' differs from that of the model by {error:.2g} of its largest magnitude, "
            f"more than {limit:g}"
        )


def onnx_runner(path: Path, threads: int = 0) -> Run:
    """Return a function that runs an ONNX file in onnxruntime on the CPU.

    Args:
        path: File.
        threads: Number of threads; all cores by default.

    Raises:
        ConfigError: onnxruntime does not load the file.
    """
    ort: Any = require("onnxruntime", "export", "checking an ONNX file")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has many kinds of errors
        raise ConfigError(f"onnxruntime {ort.__version__} does not load the exported file: {error}") from error
    names = [value.name for value in session.get_inputs()]

    def run(images: Sequence[Tensor]) -> list[Tensor]:
        feed = {name: np.ascontiguousarray(image.numpy()) for name, image in zip(names, images, strict=True)}
        try:
            return [torch.from_numpy(output) for output in session.run(None, feed)]
        except Exception as error:
            raise ConfigError(f"onnxruntime {ort.__version__} cannot run the exported file: {error}") from error

    return run

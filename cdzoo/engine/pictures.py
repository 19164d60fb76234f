"""Pictures of predictions next to their targets, for training runs and evaluations, and of confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.inference.evaluate import predict_windows
from cdzoo.matrices import matrix_picture
from cdzoo.metrics import Scores
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.modes import evaluating
from cdzoo.models.preprocess import to_unit
from cdzoo.protocol import Protocol
from cdzoo.tasks import Task
from cdzoo.visualize import (
    FN_COLOR,
    FP_COLOR,
    IGNORED_COLOR,
    TP_COLOR,
    WRONG_COLOR,
    class_picture,
    errors,
    mask_picture,
    strip,
    to_rgb,
    with_legend,
)

SHOWN = 4
"""Number of samples in the picture of a validation."""
_SMALLEST, _LARGEST = 256, 512
"""Height and width of a panel in pixels: smaller panels are enlarged and larger ones subsampled by integer factors."""
_ERRORS = "TP white, FP red, FN blue"
_ERROR_COLORS = {"errors: right": TP_COLOR, "false positive": FP_COLOR, "missed": FN_COLOR, "wrong class": WRONG_COLOR}


def validation_picture(model: ChangeDetector, samples: Samples, protocol: Protocol, device: torch.device) -> Image.Image:
    """Draw the first few samples that contain change, one row each: dates, targets, predictions, errors."""
    candidates = range(min(len(samples), 8 * SHOWN))
    chosen = [index for index in candidates if _changed(model, as_sample(samples[index])).any()][:SHOWN]
    return sample_picture(model, samples, chosen or [0], protocol, device)


@torch.no_grad()
def sample_picture(
    model: ChangeDetector, samples: Samples, indices: Sequence[int], protocol: Protocol, device: torch.device
) -> Image.Image:
    """Draw the samples at `indices`, one row each; the model returns to the mode it was in.

    Maps of several classes are drawn in the colors of the task, with a legend.
    """
    task = model.task
    with evaluating(model):
        rows = [_row(model, as_sample(samples[index]), protocol, device) for index in indices]
    height, width = (max(panel.shape[axis] for row in rows for panel in row) for axis in (0, 1))
    dates = ["before", "after"] if model.num_dates == 2 else [f"date {date + 1}" for date in range(model.num_dates)]
    names = [f" {name}" if len(task.shown_maps) > 1 else "" for name in task.shown_maps]
    specs = dict.fromkeys(task.maps[name] for name in task.shown_maps if _has_classes(task, name))
    titles = [*dates, *(f"target{name}" for name in names), *(f"prediction{name}" for name in names)]
    sheet = strip([[_pad(panel, height, width) for panel in row] for row in rows], [*titles, "errors" if specs else _ERRORS])
    for spec in specs:
        sheet = with_legend(sheet, [*zip(spec.class_names, spec.colors, strict=True), ("no label", IGNORED_COLOR)])
    return with_legend(sheet, [*_ERROR_COLORS.items()]) if specs else sheet


def matrix_pictures(scores: Scores) -> dict[str, Image.Image]:
    """Draw the confusion and transition matrices of scores, by name."""
    pictures = {}
    for name, matrix in scores.matrices.items():
        if name.startswith("transitions"):
            title = f"{name}: percent of the pixels"
            pictures[name] = matrix_picture(matrix, scores.labels[name], title, "before", "after", by_column=False)
        else:
            title = f"{name}: percent of the true pixels of each class"
            pictures[name] = matrix_picture(matrix, scores.labels[name], title, "predicted", "true")
    return pictures


def _row(model: ChangeDetector, sample: Sample, protocol: Protocol, device: torch.device) -> list[npt.NDArray[np.uint8]]:
    task = model.task
    probabilities = predict_windows(model, [image[None].to(device) for image in sample.images], protocol)[0].cpu().numpy()
    predicted = task.predict_maps(probabilities, protocol.threshold)
    true = {name: values.numpy().astype(np.uint8) for name, values in task.true_maps(sample.target).items()}
    main = next(iter(predicted))
    pixels = [(to_unit(image).clamp(0, 1) * 255).round().byte() for image in sample.images]
    dates = [to_rgb(image.permute(1, 2, 0).numpy()) for image in pixels]
    valid = true[main] != IGNORE_INDEX
    maps = [_map_picture(task, name, values[name]) for values in (true, predicted) for name in task.shown_maps]
    panels = (*dates, *maps, errors(predicted[main] * valid, true[main] * valid))
    return [_resize(panel) for panel in panels]


def _has_classes(task: Task, name: str) -> bool:
    return len(task.maps[name].class_names) > 2


def _map_picture(task: Task, name: str, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return class_picture(values, task.maps[name].colors) if _has_classes(task, name) else mask_picture(values)


def _changed(model: ChangeDetector, sample: Sample) -> npt.NDArray[np.uint8]:
    """Return 1 where the target is change, 0 elsewhere and for ignored pixels."""
    classes = model.task.classes(sample.target).numpy()
    return ((classes > 0) & (classes != IGNORE_INDEX)).astype(np.uint8)


def _resize(panel: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    side = max(panel.shape[:2])
    if side < _SMALLEST:
        factor = -(-_SMALLEST // side)
        return panel.repeat(factor, 0).repeat(factor, 1)
    step = -(-side // _LARGEST)
    return panel[::step, ::step]


def _pad(panel: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.pad(panel, ((0, height - panel.shape[0]), (0, width - panel.shape[1]), (0, 0)), constant_values=255)

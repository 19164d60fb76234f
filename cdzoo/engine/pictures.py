"""Pictures of predictions next to their targets, for training runs and evaluations."""

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
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.modes import evaluating
from cdzoo.models.preprocess import to_unit
from cdzoo.protocol import Protocol
from cdzoo.visualize import errors, mask_picture, strip, to_rgb

SHOWN = 4
"""Number of samples in the picture of a validation."""
_SMALLEST, _LARGEST = 256, 512
"""Height and width of a panel in pixels: smaller panels are enlarged and larger ones subsampled by integer factors."""
_ERRORS = "TP white, FP red, FN blue"


def validation_picture(model: ChangeDetector, samples: Samples, protocol: Protocol, device: torch.device) -> Image.Image:
    """Draw the first few samples that contain change, one row each: dates, target, prediction, errors."""
    candidates = range(min(len(samples), 8 * SHOWN))
    chosen = [index for index in candidates if _changed(model, as_sample(samples[index])).any()][:SHOWN]
    return sample_picture(model, samples, chosen or [0], protocol, device)


@torch.no_grad()
def sample_picture(
    model: ChangeDetector, samples: Samples, indices: Sequence[int], protocol: Protocol, device: torch.device
) -> Image.Image:
    """Draw the samples at `indices`, one row each; the model returns to the mode it was in."""
    with evaluating(model):
        rows = [_row(model, as_sample(samples[index]), protocol, device) for index in indices]
    height, width = (max(panel.shape[axis] for row in rows for panel in row) for axis in (0, 1))
    dates = ["before", "after"] if model.num_dates == 2 else [f"date {date + 1}" for date in range(model.num_dates)]
    return strip([[_pad(panel, height, width) for panel in row] for row in rows], [*dates, "target", "prediction", _ERRORS])


def _row(model: ChangeDetector, sample: Sample, protocol: Protocol, device: torch.device) -> list[npt.NDArray[np.uint8]]:
    probabilities = predict_windows(model, [image[None].to(device) for image in sample.images], protocol)[0].cpu().numpy()
    predicted = (model.task.predict(probabilities, protocol.threshold) > 0).astype(np.uint8)
    changed = _changed(model, sample)
    valid = model.task.classes(sample.target).numpy() != IGNORE_INDEX
    pixels = [(to_unit(image).clamp(0, 1) * 255).round().byte() for image in sample.images]
    dates = [to_rgb(image.permute(1, 2, 0).numpy()) for image in pixels]
    panels = (*dates, mask_picture(changed), mask_picture(predicted), errors(predicted * valid, changed))
    return [_resize(panel) for panel in panels]


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

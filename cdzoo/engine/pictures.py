"""Pictures of samples: images, truth, prediction and errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.inference.evaluate import predict_probability
from cdzoo.inference.modes import evaluating
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import to_unit
from cdzoo.protocol import Protocol
from cdzoo.visualize import errors, mask_picture, strip, to_rgb

SHOWN = 4
_SMALLEST, _LARGEST = 256, 512
"""Sides of a panel in pixels; smaller and larger ones are resized by integer factors."""
TITLES = ("before", "after", "truth", "prediction", "TP white, FP red, FN blue")


def validation_picture(model: ChangeDetector, samples: Samples, protocol: Protocol, device: torch.device) -> Image.Image:
    """Draw the first samples with change, one row each: images, truth, prediction, errors."""
    count = min(len(samples), 8 * SHOWN)
    chosen = [index for index in range(count) if _truth(model, as_sample(samples[index])).any()][:SHOWN] or [0]
    return sample_picture(model, samples, chosen, protocol, device)


@torch.no_grad()
def sample_picture(
    model: ChangeDetector, samples: Samples, indices: Sequence[int], protocol: Protocol, device: torch.device
) -> Image.Image:
    """Draw samples, one row each. The mode of the model is restored."""
    with evaluating(model):
        rows = [_row(model, as_sample(samples[index]), protocol, device) for index in indices]
    side = max(panel.shape[0] for row in rows for panel in row), max(panel.shape[1] for row in rows for panel in row)
    return strip([[_on_paper(panel, side) for panel in row] for row in rows], TITLES)


def _row(model: ChangeDetector, sample: Sample, protocol: Protocol, device: torch.device) -> list[npt.NDArray[np.uint8]]:
    probability = predict_probability(model, [image[None].to(device) for image in sample.images], protocol)
    found = model.task.predict(probability[0].cpu().numpy(), protocol.threshold)
    truth = _truth(model, sample)
    dates = [to_rgb(_pixels(image)) for image in (sample.images[0], sample.images[-1])]
    return [_sized(panel) for panel in (*dates, mask_picture(truth), mask_picture(found), errors(found, truth))]


def _truth(model: ChangeDetector, sample: Sample) -> npt.NDArray[np.uint8]:
    target = sample.target[model.task.target].numpy()
    return ((target > 0) & (target != IGNORE_INDEX)).astype(np.uint8)


def _pixels(image: torch.Tensor) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = (to_unit(image).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels


def _sized(panel: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    side = max(panel.shape[:2])
    if side < _SMALLEST:
        return panel.repeat(-(-_SMALLEST // side), 0).repeat(-(-_SMALLEST // side), 1)
    step = -(-side // _LARGEST)
    return panel[::step, ::step]


def _on_paper(panel: npt.NDArray[np.uint8], side: tuple[int, int]) -> npt.NDArray[np.uint8]:
    sheet = np.full((*side, 3), 255, np.uint8)
    sheet[: panel.shape[0], : panel.shape[1]] = panel
    return sheet

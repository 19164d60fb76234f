"""Pictures of what a model sees and says, for a run and for an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from cdzoo.data.sampler import Samples
from cdzoo.inference.evaluate import predict_probability
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import to_unit
from cdzoo.protocol import Protocol
from cdzoo.visualize import errors, mask_picture, strip, to_rgb

SHOWN = 4
_SMALLEST, _LARGEST = 256, 512
"""Sides of a panel in pixels: smaller ones are enlarged and larger ones thinned out by whole numbers."""
TITLES = ("before", "after", "truth", "prediction", "found white, false red, missed blue")


def validation_picture(model: ChangeDetector, samples: Samples, protocol: Protocol, device: torch.device) -> Image.Image:
    """Draw the first few samples with change, a row each: dates, truth, prediction, errors."""
    chosen = [index for index in range(min(len(samples), 8 * SHOWN)) if samples[index]["mask"].any()][:SHOWN] or [0]
    return sample_picture(model, samples, chosen, protocol, device)


@torch.no_grad()
def sample_picture(
    model: ChangeDetector, samples: Samples, indices: Sequence[int], protocol: Protocol, device: torch.device
) -> Image.Image:
    """Draw the given samples, a row each. The model is left in the mode that it was in."""
    was_training = model.training
    model.eval()
    try:
        rows = [_row(model, samples[index], protocol, device) for index in indices]
    finally:
        model.train(was_training)
    side = max(panel.shape[0] for row in rows for panel in row), max(panel.shape[1] for row in rows for panel in row)
    return strip([[_on_paper(panel, side) for panel in row] for row in rows], TITLES)


def _row(model: ChangeDetector, sample: dict[str, Any], protocol: Protocol, device: torch.device) -> list[npt.NDArray[np.uint8]]:
    a, b = (sample[key][None].to(device) for key in ("image_a", "image_b"))
    found = (predict_probability(model, a, b, protocol)[0] >= protocol.threshold).cpu().numpy().astype(np.uint8)
    truth = (sample["mask"] > 0).numpy().astype(np.uint8)
    dates = [to_rgb(_pixels(sample[key])) for key in ("image_a", "image_b")]
    return [_sized(panel) for panel in (*dates, mask_picture(truth), mask_picture(found), errors(found, truth))]


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

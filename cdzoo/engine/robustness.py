"""Robustness: the scores of a model when the second date is shifted, brighter, darker, blurred or compressed.

Only the second date is changed, since differences between the dates that are no change are what misleads a model. The targets
stay. Tiles are changed one by one; the pixels that a shift brings in repeat the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import gaussian_blur, jpeg_image

from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.inference.evaluate import evaluate
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import to_unit
from cdzoo.protocol import Protocol


@dataclass(frozen=True)
class RobustnessPoint:
    """Scores under one disturbance.

    Attributes:
        kind: Key of `SWEEPS`.
        level: Strength of the disturbance.
        f1: F1.
        iou: Intersection over union.
        precision: Precision.
        recall: Recall.
    """

    kind: str
    level: float
    f1: float
    iou: float
    precision: float
    recall: float


def shift(image: Tensor, pixels: float) -> Tensor:
    """Move an image (bands, H, W) to the right."""
    width = image.shape[-1]
    return image[..., (torch.arange(width) - round(pixels)).clamp(0, width - 1)]


def brighten(image: Tensor, factor: float) -> Tensor:
    """Multiply the values of an image in [0, 1]."""
    return (image * factor).clamp(0, 1)


def gamma(image: Tensor, exponent: float) -> Tensor:
    """Raise the values of an image in [0, 1] to a power."""
    return image.clamp(0, 1) ** exponent


def blur(image: Tensor, sigma: float) -> Tensor:
    """Apply a Gaussian filter to an image (bands, H, W)."""
    if not sigma:
        return image
    return gaussian_blur(image, 2 * max(1, round(3 * sigma)) + 1, sigma)


def jpeg(image: Tensor, quality: float) -> Tensor:
    """Compress an image (bands, H, W) in [0, 1] and read it again: RGB as one picture, other bands one by one."""
    pixels = (image.clamp(0, 1) * 255).round().byte()
    pictures = [pixels] if len(pixels) == 3 else torch.split(pixels, 1)
    return torch.cat([jpeg_image(picture, round(quality)) for picture in pictures]) / 255


SWEEPS: dict[str, tuple[Callable[[Tensor, float], Tensor], tuple[float, ...]]] = {
    "misregistration (pixels)": (shift, (0, 1, 2, 3, 4, 6, 8)),
    "brightness (factor)": (brighten, (0.5, 0.75, 1, 1.25, 1.5)),
    "gamma": (gamma, (0.5, 0.75, 1, 1.5, 2)),
    "blur (sigma in pixels)": (blur, (0, 0.5, 1, 2, 3)),
    "JPEG quality": (jpeg, (100, 90, 75, 50, 25, 10)),
}
"""Disturbances with their levels; those at 0 pixels, factor 1, gamma 1 and sigma 0 change nothing."""


def measure_robustness(
    model: ChangeDetector,
    samples: Samples,
    protocol: Protocol,
    device: torch.device | str = "cpu",
    batch_size: int = 8,
    workers: int = 0,
) -> list[RobustnessPoint]:
    """Score a model under each disturbance at each level.

    Args:
        model: Model, on `device`.
        samples: Split, tiled as the protocol requires.
        protocol: Windows and threshold; the threshold is not adapted.
        device: Device of the model.
        batch_size: Number of samples per forward pass.
        workers: Number of processes that load data.
    """
    points = []
    for kind, (disturb, levels) in SWEEPS.items():
        for level in levels:
            disturbed = _Disturbed(samples, disturb, level)
            scores = evaluate(model, disturbed, protocol, device, batch_size, workers).summary()
            points.append(RobustnessPoint(kind, level, scores.f1, scores.iou, scores.precision, scores.recall))
    return points


def draw_robustness(curves: dict[str, list[RobustnessPoint]], file: Any) -> None:
    """Draw F1 over the level of each disturbance, with one line per model.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from cdzoo.figures import line_figure

    panels = {
        kind: {name: [(p.level, 100 * p.f1) for p in points if p.kind == kind] for name, points in curves.items()}
        for kind in SWEEPS
    }
    line_figure(panels, "F1 in percent").savefig(file, dpi=130)


class _Disturbed(Dataset[Sample]):
    """Samples whose dates after the first are disturbed."""

    def __init__(self, samples: Samples, disturb: Callable[[Tensor, float], Tensor], level: float) -> None:
        self.samples, self.disturb, self.level = samples, disturb, level

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample = as_sample(self.samples[index])
        first, *others = (to_unit(image) for image in sample.images)
        return sample._replace(images=(first, *(self.disturb(image, self.level) for image in others)))

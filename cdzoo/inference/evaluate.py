"""`evaluate`: scores of a model on a split, under a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from cdzoo.data.loader import load_samples
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.errors import InputError
from cdzoo.inference.rescaled import batch_at_scale
from cdzoo.inference.tta import averaged
from cdzoo.metrics import Confusion
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.modes import evaluating
from cdzoo.models.preprocess import normalize_images
from cdzoo.models.scale import at_scale
from cdzoo.protocol import Protocol
from cdzoo.tiling import sliding_windows
from cdzoo.weights.values import check_finite

_BATCHES_IN_MEMORY = 4


@dataclass(frozen=True)
class SampleScore:
    """Pixel counts of one sample; ignored pixels are not counted.

    Attributes:
        index: Index in the split.
        name: Name of the sample.
        confusion: Pixel counts at the threshold of the protocol.
    """

    index: int
    name: str
    confusion: Confusion


@torch.no_grad()
def evaluate(
    model: ChangeDetector,
    samples: Samples,
    protocol: Protocol,
    device: torch.device | str = "cpu",
    batch_size: int = 8,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    on_sample: Callable[[SampleScore], None] | None = None,
) -> Any:
    """Count the pixels of a split in evaluation mode.

    Args:
        model: Model, on `device`; returns to the mode it was in.
        samples: Split, tiled as the protocol requires; samples may differ in size.
        protocol: Windows and threshold.
        device: Device of the model.
        batch_size: Number of samples, or of windows of one sample, per forward pass; fewer at a scale above 1, so that memory
            stays the same.
        workers: Number of processes that load data.
        rank: Index of this process, which evaluates every `world`-th sample, so that each sample is counted once.
        world: Number of processes.
        on_sample: Called with the pixel counts of each sample of this process.

    Returns:
        Accumulator of the task (`ChangeCounts` for binary change detection); `summary()` pools all processes.

    Raises:
        WeightsError: The weights are not finite.
        InputError: A probability is NaN.
    """
    device = torch.device(device)
    check_finite(model.config.name, model.state_dict())
    task = model.task
    counter = task.create_counter(protocol.threshold, device)
    batch_size = batch_at_scale(model, protocol.scale, batch_size)
    own = range(rank, len(samples), world)
    loader = load_samples(samples, workers, as_sample, batch_size=None, sampler=own)
    with evaluating(model), closing(loader):
        for batch in _equal_sizes(zip(own, loader, strict=True), batch_size):
            indices, collated = zip(*batch, strict=True)
            images, target, names = default_collate(list(collated))
            target = {key: value.to(device) for key, value in target.items()}
            probabilities = predict_windows(model, [image.to(device) for image in images], protocol, batch_size)
            unknown = probabilities.isnan().flatten(1).any(1).tolist()
            if any(unknown):
                raise InputError(
                    f"{names[unknown.index(True)]}: the model predicts NaN; check its weights and the values of the images"
                )
            confusions = task.update(counter, probabilities, target)
            if on_sample is not None:
                for score in map(SampleScore, indices, names, confusions):
                    on_sample(score)
    return counter


def predict_windows(model: ChangeDetector, images: Sequence[Tensor], protocol: Protocol, batch_size: int = 8) -> Tensor:
    """Return the probabilities (B, ..., H, W) of images, averaged over windows if the protocol requires them.

    Args:
        model: Model in evaluation mode.
        images: One tensor (B, bands, H, W) per date, uint8 or float in [0, 1].
        protocol: Windows.
        batch_size: Number of windows per forward pass.
    """
    normalized, scale = normalize_images(model.config, *images), protocol.scale * model.config.input_scale

    def network(*images: Tensor) -> Tensor:
        return model.probabilities(model(*images))

    def predict(images: Sequence[Tensor]) -> Tensor:
        return averaged(lambda *views: at_scale(network, views, scale), images, protocol.augment, model.task)

    height, width = normalized[0].shape[-2:]
    window = protocol.window
    if window is None or max(height, width) <= window:
        return predict(normalized)
    windows = sliding_windows(height, width, window, protocol.overlap)
    step = max(1, batch_size // len(normalized[0]))
    total, count = None, normalized[0].new_zeros(height, width)
    for first in range(0, len(windows), step):
        batch = windows[first : first + step]
        crops = [torch.cat([image[(..., *area.slices)] for area in batch]) for image in normalized]
        probabilities = predict(crops).chunk(len(batch))
        if total is None:
            total = normalized[0].new_zeros(*probabilities[0].shape[:-2], height, width)
        for area, probability in zip(batch, probabilities, strict=True):
            total[(..., *area.slices)] += probability
            count[area.slices] += 1
    assert total is not None
    return total / count


def _equal_sizes(samples: Iterable[tuple[int, Sample]], batch_size: int) -> Iterator[list[tuple[int, Sample]]]:
    """Group samples of the same size into batches.

    The number of waiting samples is bounded: beyond a few batches, the largest group becomes an incomplete batch. Scores are not
    affected, because they are independent of batch order.
    """
    groups: dict[tuple[int, ...], list[tuple[int, Sample]]] = {}
    waiting = 0
    for index, sample in samples:
        size = tuple(sample.images[0].shape[-2:])
        groups.setdefault(size, []).append((index, sample))
        waiting += 1
        full = len(groups[size]) == batch_size
        if full or waiting >= _BATCHES_IN_MEMORY * batch_size:
            batch = groups.pop(size if full else max(groups, key=lambda key: len(groups[key])))  # of ties, the oldest
            waiting -= len(batch)
            yield batch
    yield from groups.values()

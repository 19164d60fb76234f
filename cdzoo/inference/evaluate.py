"""`evaluate`: scores of a model on a split, under a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.inference.modes import evaluating
from cdzoo.metrics import Confusion
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import normalize_images
from cdzoo.protocol import Protocol
from cdzoo.tiling import Window, sliding_windows

_MAX_WAITING = 4
"""Samples that wait for others of their size, as a multiple of the batch size."""


@dataclass(frozen=True)
class SampleScore:
    """Confusion matrix of one sample, with its index in the split and its name."""

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
    precision: torch.dtype | None = None,
    on_sample: Callable[[SampleScore], None] | None = None,
) -> Any:
    """Count the pixels of a model's predictions on a split.

    Args:
        model: The model, on `device`; its mode is restored.
        samples: Samples of the split, tiled as the protocol states; of any sizes.
        protocol: Windows and threshold.
        device: Device of the model.
        batch_size: Samples, or windows of one sample, predicted at once.
        workers: Loader processes.
        rank: Index of this process, which evaluates every `world`-th sample.
        world: Number of processes.
        precision: Type for autocast; None for float32.
        on_sample: Called with the score of each sample of this process.

    Returns:
        The counts of this process, see `Task.create_counter`; `all_reduce()` adds those of the other processes.
    """
    device = torch.device(device)
    counts = model.task.create_counter(protocol.threshold, device)
    subset = Subset(_Indexed(samples), range(rank, len(samples), world))
    loader: DataLoader[Any] = DataLoader(subset, batch_size=None, num_workers=workers)
    with evaluating(model):
        for batch in _batch_by_size(loader, batch_size):
            images = [torch.stack(dates).to(device) for dates in zip(*(sample.images for _, sample in batch), strict=True)]
            target = torch.stack([sample.target[model.task.target] for _, sample in batch]).to(device)
            with torch.autocast(device.type, precision, enabled=precision is not None):
                probability = predict_probability(model, images, protocol, batch_size)
            confusions = counts.update(probability, target)
            if on_sample is not None:
                for (index, sample), confusion in zip(batch, confusions, strict=True):
                    on_sample(SampleScore(index, sample.name, confusion))
    return counts


def predict_probability(model: ChangeDetector, images: list[Tensor], protocol: Protocol, batch_size: int = 8) -> Tensor:
    """Return the probability of change (B, H, W), averaged over the windows of the protocol if it has them.

    Args:
        model: The model, in evaluation mode.
        images: One tensor (B, bands, H, W) per date, uint8 or float in [0, 1].
        protocol: Size and overlap of windows.
        batch_size: Windows predicted at once.
    """
    normalized = normalize_images(model.config, *images)
    first = normalized[0]
    height, width = first.shape[-2:]
    if protocol.window is None or max(height, width) <= protocol.window:
        return model.probabilities(model(*normalized))
    total, count = first.new_zeros(len(first), height, width), first.new_zeros(height, width)
    windows = sliding_windows(height, width, protocol.window, protocol.overlap)
    step = max(1, batch_size // len(first))
    for start in range(0, len(windows), step):
        group = windows[start : start + step]
        crops = [torch.cat([_crop(image, window) for window in group]) for image in normalized]
        for window, probability in zip(group, model.probabilities(model(*crops)).chunk(len(group)), strict=True):
            rows, columns = slice(window.y, window.y + window.height), slice(window.x, window.x + window.width)
            total[:, rows, columns] += probability
            count[rows, columns] += 1
    return total / count


class _Indexed(torch.utils.data.Dataset[tuple[int, Sample]]):
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> tuple[int, Sample]:
        return index, as_sample(self.samples[index])


def _batch_by_size(samples: Iterable[tuple[int, Sample]], batch_size: int) -> Iterator[list[tuple[int, Sample]]]:
    """Group samples of equal size into batches. The largest group is flushed when too many samples wait."""
    waiting: dict[tuple[int, ...], list[tuple[int, Sample]]] = {}
    for index, sample in samples:
        size = tuple(sample.images[0].shape[-2:])
        waiting.setdefault(size, []).append((index, sample))
        if len(waiting[size]) == batch_size:
            yield waiting.pop(size)
        elif sum(map(len, waiting.values())) >= _MAX_WAITING * batch_size:
            yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
    yield from waiting.values()


def _crop(image: Tensor, window: Window) -> Tensor:
    return image[..., window.y : window.y + window.height, window.x : window.x + window.width]

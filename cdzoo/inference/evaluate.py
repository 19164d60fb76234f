"""`evaluate`: the scores of a model on a split, under a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from cdzoo.data.sampler import Samples
from cdzoo.metrics import ChangeCounts, Confusion
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import normalize_images
from cdzoo.protocol import Protocol
from cdzoo.tiling import Window, sliding_windows


@dataclass(frozen=True)
class SampleScore:
    """How one sample went: its place in the split, name, and counts."""

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
) -> ChangeCounts:
    """Count a model's pixels on a split. The model is left in the mode that it was in.

    Args:
        model: The detector, on `device`.
        samples: The split, cut as the protocol says; samples may differ in size.
        protocol: Windows and threshold.
        device: Where the model is.
        batch_size: Samples, or windows of one sample, predicted at once.
        workers: Processes that load data.
        rank: Number of this process; it takes every `world`-th sample, so that none is counted twice.
        world: Number of processes.
        precision: Autocast to this type; None for float32.
        on_sample: Called with the counts of each sample of this process.

    Returns:
        The counts; `compute()` and `summary()` pool all processes.
    """
    device = torch.device(device)
    counts = model.task.counter(protocol.threshold).to(device)
    mine = range(rank, len(samples), world)
    loader: DataLoader[Any] = DataLoader(Subset(_Numbered(samples), mine), batch_size=None, num_workers=workers)
    was_training = model.training
    model.eval()
    try:
        for batch in _equal_sizes(loader, batch_size):
            image_a, image_b, mask = (
                torch.stack([sample[key] for sample in batch]).to(device) for key in ("image_a", "image_b", "mask")
            )
            with torch.autocast(device.type, precision, enabled=precision is not None):
                probability = predict_probability(model, image_a, image_b, protocol, batch_size)
            counts.update(probability, mask)
            if on_sample is not None:
                for sample, found, truth in zip(batch, probability >= protocol.threshold, mask, strict=True):
                    on_sample(SampleScore(sample["index"], sample["name"], Confusion.of(found, truth)))
    finally:
        model.train(was_training)
    return counts


def predict_probability(
    model: ChangeDetector, image_a: Tensor, image_b: Tensor, protocol: Protocol, batch_size: int = 8
) -> Tensor:
    """Return the probability of change (B, H, W) of stored pixels (B, bands, H, W), in windows where the protocol says so."""
    a, b = normalize_images(model.config, image_a, image_b)
    height, width = a.shape[-2:]
    window = protocol.window
    if window is None or max(height, width) <= window:
        return model.probabilities(model(a, b))
    total, times = a.new_zeros(len(a), height, width), a.new_zeros(height, width)
    cuts = sliding_windows(height, width, window, protocol.overlap)
    step = max(1, batch_size // len(a))
    for first in range(0, len(cuts), step):
        some = cuts[first : first + step]
        parts = [torch.cat([_crop(one, cut) for cut in some]) for one in (a, b)]
        for cut, probability in zip(some, model.probabilities(model(*parts)).chunk(len(some)), strict=True):
            total[:, cut.y : cut.y + cut.height, cut.x : cut.x + cut.width] += probability
            times[cut.y : cut.y + cut.height, cut.x : cut.x + cut.width] += 1
    return total / times


class _Numbered(torch.utils.data.Dataset[dict[str, Any]]):
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.samples[index], "index": index}


def _equal_sizes(samples: Iterable[dict[str, Any]], batch_size: int) -> Iterator[list[dict[str, Any]]]:
    """Batch samples of one size together; the counts do not depend on the order."""
    waiting: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for sample in samples:
        size = tuple(sample["mask"].shape)
        waiting.setdefault(size, []).append(sample)
        if len(waiting[size]) == batch_size:
            yield waiting.pop(size)
    yield from waiting.values()


def _crop(image: Tensor, cut: Window) -> Tensor:
    return image[..., cut.y : cut.y + cut.height, cut.x : cut.x + cut.width]

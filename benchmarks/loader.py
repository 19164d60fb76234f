"""Training pairs per second that one core loads from PNG tiles: decoding, crop, flips, rotation by 90 degrees, collation.

It is compared with the same geometry implemented by the transform classes of torchvision.transforms.v2, seeded per sample.
Photometric augmentation is applied to batches on the device (`BatchAugment`); its cost on the CPU is measured too.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import Dataset, default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2

from cdzoo.data import FolderPairs, SyntheticScenes
from cdzoo.data.augment import PairAugment
from cdzoo.data.sample import as_sample
from cdzoo.data.sampler import AugmentedSamples, Draw, StepSampler
from cdzoo.engine.batch_augment import BatchAugment
from cdzoo.models.preprocess import to_unit


def main() -> None:
    """Measure the CPU time of each alternative on one thread, interleaved, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of 256x256 pairs; synthetic pairs by default")
    parser.add_argument("--exclude", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--out", help="JSON to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        samples = FolderPairs(options.data or write_pairs(Path(folder), 48), exclude=options.exclude)
        count = options.batches * min(16, len(samples))
        ways: dict[str, Callable[[], object]] = {
            "cdzoo": lambda: load(AugmentedSamples(samples, PairAugment(256)), len(samples), options.batches),
            "torchvision v2": lambda: load(SeededTransforms(samples), len(samples), options.batches),
            "decoding alone": lambda: [samples[i % len(samples)] for i in range(count)],
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            way()
        for _ in range(options.rounds):
            for name, way in ways.items():
                start = time.process_time()
                way()
                times[name].append(count / (time.process_time() - start))
        jitter = measure_jitter(samples, options.rounds)
    results = {name: {"median": statistics.median(rates), "rates": rates} for name, rates in times.items()}
    for name, entry in results.items():
        print(f"{name:<18}{entry['median']:8.1f} pairs/s of CPU time on one core")
    print(f"{'batch jitter':<18}{jitter:8.1f} pairs/s, brightness, contrast, saturation of both dates on the CPU")
    if options.out:
        report = {"python": platform.python_version(), "torch": torch.__version__, "pairs_per_s": results, "jitter": jitter}
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n")


def write_pairs(root: Path, count: int) -> Path:
    """Write synthetic pairs as PNG tiles."""
    scenes = SyntheticScenes(count, 256, seed=0)
    for name in ("A", "B", "label"):
        (root / name).mkdir()
    for index in range(count):
        scene = as_sample(scenes[index])
        for name, image in zip(("A", "B"), scene.images, strict=True):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / name / f"{index}.png")
        Image.fromarray((scene.target["mask"] * 255).byte().numpy()).save(root / "label" / f"{index}.png")
    return root


class SeededTransforms(Dataset[list[torch.Tensor]]):
    """The geometry of `PairAugment` with transform classes, which draw from the global generator."""

    def __init__(self, samples: FolderPairs) -> None:
        self.samples = samples
        self.geometry = v2.Compose([v2.RandomCrop(256), v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()])

    def __getitem__(self, draw: Draw) -> list[torch.Tensor]:
        """Return the augmented images and mask."""
        sample = self.samples[draw.index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            maps = self.geometry([*map(tv_tensors.Image, sample.images), tv_tensors.Mask(sample.target["mask"])])
            turns = int(torch.randint(4, ()))
        return [torch.rot90(image.as_subclass(torch.Tensor), turns, (-2, -1)) for image in maps]


def load(drawn: Dataset[Any], count: int, batches: int) -> None:
    """Draw and collate batches as the training loader does."""
    for draws in StepSampler(count, 16, 0, 0, batches):
        default_collate([drawn[draw] for draw in draws])


def measure_jitter(samples: FolderPairs, rounds: int) -> float:
    """Return the pairs per second of `BatchAugment` on one CPU thread."""
    batch = default_collate([samples[i % len(samples)] for i in range(16)])
    generator = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(rounds):
        start = time.process_time()
        BatchAugment(jitter=0.3)([to_unit(image) for image in batch.images], batch.target, generator)
        rates.append(16 / (time.process_time() - start))
    return statistics.median(rates)


if __name__ == "__main__":
    main()

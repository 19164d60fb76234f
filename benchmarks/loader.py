"""How many training pairs a second one core prepares from PNG tiles: decoding, crop, flips, quarter turns, collation.

The alternative in the same run is the same geometry by torchvision.transforms.v2, as usual in the field. Photometric changes are
made to whole batches on the device (`BatchAugment`); their cost on the CPU is given too.
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

import torch
from PIL import Image
from torch.utils.data import default_collate

from cdzoo.data import FolderPairs, SyntheticScenes
from cdzoo.data.augment import PairAugment
from cdzoo.data.sampler import Drawn, StepSampler
from cdzoo.engine.batch_augment import BatchAugment
from cdzoo.models.preprocess import unit


def main() -> None:
    """Measure by CPU time on one thread, in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of pairs of 256x256; synthetic ones are written when it is not given")
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
            "cdzoo": lambda: load(Drawn(samples, PairAugment(256)), len(samples), options.batches),
            "torchvision v2": lambda: load_v2(samples, count),
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
        scene = scenes[index]
        for name, key in (("A", "image_a"), ("B", "image_b")):
            Image.fromarray(scene[key].permute(1, 2, 0).numpy()).save(root / name / f"{index}.png")
        Image.fromarray((scene["mask"] * 255).byte().numpy()).save(root / "label" / f"{index}.png")
    return root


def load(drawn: Drawn, count: int, batches: int) -> None:
    """Draw and collate batches as the training loader does."""
    for draws in StepSampler(count, 16, 0, 0, batches):
        default_collate([drawn[draw] for draw in draws])


def load_v2(samples: FolderPairs, count: int) -> None:
    """The same geometry by torchvision."""
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    geometry = v2.Compose([v2.RandomCrop(256), v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()])
    batch = []
    for index in range(count):
        sample = samples[index % len(samples)]
        images = geometry(
            [tv_tensors.Image(sample["image_a"]), tv_tensors.Image(sample["image_b"]), tv_tensors.Mask(sample["mask"])]
        )
        turns = int(torch.randint(4, ()))
        batch.append([torch.rot90(image.as_subclass(torch.Tensor), turns, (-2, -1)).contiguous() for image in images])
        if len(batch) == 16:
            default_collate(batch)
            batch = []


def measure_jitter(samples: FolderPairs, rounds: int) -> float:
    """Pairs a second through `BatchAugment` on one CPU thread."""
    batch = default_collate([samples[i % len(samples)] for i in range(16)])
    generator = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(rounds):
        start = time.process_time()
        BatchAugment(jitter=0.3)(unit(batch["image_a"]), unit(batch["image_b"]), batch["mask"], generator)
        rates.append(16 / (time.process_time() - start))
    return statistics.median(rates)


if __name__ == "__main__":
    main()

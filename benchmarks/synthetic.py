"""Measure how many synthetic pairs one core generates per second, and draw a contact sheet.

Run: python benchmarks/synthetic.py [--size 256] [--count 40] [--repeats 5] [--sheet FILE.png] [--pairs 8] [--style wide]
    [--task semantic]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from cdzoo.data import SyntheticScenes
from cdzoo.data.synthetic.classes import TASKS
from cdzoo.tasks import get_task
from cdzoo.visualize import strip

BLACK_AND_WHITE = ((0, 0, 0), (255, 255, 255))


def main() -> None:
    """Time the generator on one thread and print the median rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--style", default="default", choices=["default", "wide"])
    parser.add_argument("--resolution", type=float, help="meters per pixel of style wide; drawn by default")
    parser.add_argument("--task", default="binary", choices=TASKS)
    parser.add_argument("--sheet", help="picture of the first pairs")
    parser.add_argument("--pairs", type=int, default=8, help="even number of pairs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kind = {"style": options.style, "resolution": options.resolution, "task": options.task}
    scenes = SyntheticScenes(options.count, options.size, options.seed, **kind)
    if options.sheet:
        maps = get_task(options.task, scenes.class_names).maps
        colors = {name: np.array(maps[name].colors if name in maps else BLACK_AND_WHITE, np.uint8) for name in scenes[0].target}
        rows = []
        for i in range(min(options.pairs, len(scenes))):
            scene = scenes[i]
            images = [image.permute(1, 2, 0).numpy() for image in scene.images]
            rows.append([*images, *(colors[name][values.numpy()] for name, values in scene.target.items())])
        halves = [left + right for left, right in zip(rows[::2], rows[1::2], strict=False)]
        strip(halves, ["before", "after", *colors] * 2).save(options.sheet)
    scenes[0]  # fills caches
    rates = []
    for _ in range(options.repeats):
        start = time.process_time()
        for i in range(options.count):
            scenes[i]
        rates.append(options.count / (time.process_time() - start))
    print(f"{options.size}x{options.size}: {statistics.median(rates):.1f} pairs/s of CPU time, one thread")
    print(f"  {options.repeats} repeats of {options.count} pairs, {min(rates):.1f} to {max(rates):.1f}")


if __name__ == "__main__":
    main()

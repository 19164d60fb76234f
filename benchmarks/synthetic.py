"""Measure how many synthetic pairs one core generates per second, and draw a contact sheet.

Run: python benchmarks/synthetic.py [--size 256] [--count 40] [--repeats 5] [--sheet FILE.png] [--pairs 8]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from cdzoo.data import SyntheticScenes
from cdzoo.visualize import mask_picture, strip


def main() -> None:
    """Time the generator on one thread and print the median rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", help="picture of the first pairs")
    parser.add_argument("--pairs", type=int, default=8, help="even number of pairs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes = SyntheticScenes(options.count, options.size, options.seed)
    if options.sheet:
        rows = []
        for i in range(min(options.pairs, len(scenes))):
            scene = scenes[i]
            images = [scene[key].permute(1, 2, 0).numpy() for key in ("image_a", "image_b")]
            rows.append([*images, mask_picture(scene["mask"].numpy().astype(np.uint8))])
        halves = [left + right for left, right in zip(rows[::2], rows[1::2], strict=False)]
        strip(halves, ["before", "after", "truth"] * 2).save(options.sheet)
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

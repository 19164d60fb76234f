"""Choose the threshold of a weight on generated scenes.

`python tools/calibrate.py FOLDER [--pairs 60]` scores scenes of style "wide" at 0.1, 0.2, 0.5 and 1 m per pixel and the test
split of `synthetic`. It prints F1 at 0.5 and at the best threshold of each, and the threshold with the highest mean F1 over all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

import cdzoo
from cdzoo.data import SyntheticScenes
from cdzoo.data.sample import Sample

SEED = 77  # of no split of a named data set
STEPS = 200
Counts = npt.NDArray[np.int64]


def histogram(model: cdzoo.ChangeDetector, samples: Dataset[Sample], count: int) -> Counts:
    """Return how many unchanged and changed pixels (2, STEPS) have a probability in each step."""
    total = np.zeros((2, STEPS), np.int64)
    for index in range(count):
        sample = samples[index]
        x1, x2 = model.preprocess(*sample.images)
        with torch.inference_mode():
            probability = model.probabilities(model(x1, x2))[0]
        step = probability.mul(STEPS).long().clamp(0, STEPS - 1).flatten()
        changed = sample.target["mask"].flatten()
        total += torch.bincount(changed * STEPS + step, minlength=2 * STEPS).view(2, STEPS).numpy()
    return total


def f1_curve(counts: Counts) -> npt.NDArray[np.float64]:
    """Return F1 (STEPS,) if pixels of step i and above are called changed."""
    false, true = counts[:, ::-1].cumsum(1)[:, ::-1]
    return np.asarray(2 * true / np.maximum(1, true + false + counts[1].sum()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="folder of the weights")
    parser.add_argument("--pairs", type=int, default=60, help="pairs of each resolution")
    options = parser.parse_args(arguments)
    model = cdzoo.create_model(f"local-dir:{options.weights}").eval()
    sets: dict[str, Dataset[Sample]] = {
        f"{resolution:g} m": SyntheticScenes(options.pairs, 256, seed=SEED, style="wide", resolution=resolution)
        for resolution in (0.1, 0.2, 0.5, 1.0)
    }
    sets["synthetic"] = SyntheticScenes(4 * options.pairs, 128, seed=1002)
    curves = {}
    for name, samples in sets.items():
        curves[name] = curve = f1_curve(histogram(model, samples, len(samples)))  # type: ignore[arg-type]
        best = int(curve.argmax())
        print(
            f"{name}: F1 {100 * curve[STEPS // 2]:.2f} at 0.5, at best {100 * curve[best]:.2f} at {best / STEPS:.3f}", flush=True
        )
    mean = np.mean(list(curves.values()), axis=0)
    chosen = int(mean.argmax())
    scores = ", ".join(f"{name} {100 * curve[chosen]:.2f}" for name, curve in curves.items())
    print(f"threshold {chosen / STEPS:.3f}: {scores}")


if __name__ == "__main__":
    main()

"""Choose the threshold of a weight on generated scenes.

`python tools/calibrate.py FOLDER [--pairs 40] [--out FILE.json]` scores scenes of style "wide" at 0.1, 0.2, 0.5 and 1 m per
pixel, of a seed that no named data set uses, and the validation split of `synthetic`. The threshold has the highest mean F1 over
these five sets. F1 there and at the best threshold of each set is printed, and written with `--out`. With `--scales 0.5 2`, F1 is
measured for scenes that are resampled for the model by these factors, too. `--augment` and `--threshold` measure a weight with
test-time augmentation at the threshold that it has, and `--seed` other scenes than those that it was chosen on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

import cdzoo
from cdzoo.cli.main import exit_code
from cdzoo.data import SyntheticScenes
from cdzoo.data.datasets import synthetic
from cdzoo.data.sample import Sample
from cdzoo.errors import ConfigError
from cdzoo.inference.rescaled import rescaled
from cdzoo.inference.tta import MODES, probability
from cdzoo.io.files import file_sha256, write_json
from cdzoo.io.outputs import check_outputs
from cdzoo.results import Environment
from cdzoo.weights import WEIGHTS_FILE

SEED = 77  # of no split of a named data set
RESOLUTIONS = (0.1, 0.2, 0.5, 1.0)
STEPS = 200
Counts = npt.NDArray[np.int64]


def histogram(
    model: cdzoo.ChangeDetector, samples: Dataset[Sample], count: int, scale: float = 1.0, augment: str = "none"
) -> Counts:
    """Return how many unchanged and changed pixels (2, STEPS) have a probability in each step."""
    seen = rescaled(model, scale)
    total = np.zeros((2, STEPS), np.int64)
    for index in range(count):
        sample = samples[index]
        with torch.inference_mode():
            found = probability(seen, *(image[None] for image in sample.images), augment)[0]
        step = found.mul(STEPS).long().clamp(0, STEPS - 1).flatten()
        changed = sample.target["mask"].flatten()
        total += torch.bincount(changed * STEPS + step, minlength=2 * STEPS).view(2, STEPS).numpy()
    return total


def f1_curve(counts: Counts) -> npt.NDArray[np.float64]:
    """Return F1 (STEPS,) if pixels of step i and above are called changed."""
    false, true = counts[:, ::-1].cumsum(1)[:, ::-1]
    return np.asarray(2 * true / np.maximum(1, true + false + counts[1].sum()))


def calibrate(
    model: cdzoo.ChangeDetector,
    pairs: int,
    scales: Sequence[float] = (),
    augment: str = "none",
    threshold: float | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Return the threshold and the scores of each set, also at some scales, from a number of pairs of each resolution.

    The threshold is chosen unless it is passed.
    """
    sets: dict[str, Dataset[Sample]] = {
        f"{resolution:g} m": SyntheticScenes(pairs, 256, seed=seed, style="wide", resolution=resolution)
        for resolution in RESOLUTIONS
    }
    sets["synthetic, validation split"] = synthetic.generate("val")[0]
    counts = {name: len(samples) for name, samples in sets.items()}  # type: ignore[arg-type]
    curves = {name: f1_curve(histogram(model, samples, counts[name], augment=augment)) for name, samples in sets.items()}
    chosen = int(np.mean(list(curves.values()), axis=0).argmax()) if threshold is None else round(threshold * STEPS)
    rows: list[dict[str, Any]] = [
        {
            "set": name,
            "pairs": counts[name],
            "f1": float(curve[chosen]),
            "f1_at_half": float(curve[STEPS // 2]),
            "best_f1": float(curve.max()),
            "best_threshold": int(curve.argmax()) / STEPS,
        }
        for name, curve in curves.items()
    ]
    for row in rows if scales else ():
        samples = sets[row["set"]]
        others = {f"{scale:g}": f1_curve(histogram(model, samples, row["pairs"], scale, augment)) for scale in scales}
        row["f1_at_scale"] = {"1": row["f1"]} | {scale: float(curve[chosen]) for scale, curve in others.items()}
    return {"threshold": chosen / STEPS, "augment": augment, "seed": seed, "sets": rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="folder of the weights")
    parser.add_argument("--pairs", type=int, default=40, help="pairs of each resolution")
    parser.add_argument("--scales", type=float, nargs="+", default=[], help="factors by which scenes are enlarged for the model")
    parser.add_argument("--augment", choices=MODES, default="none", help="test-time augmentation")
    parser.add_argument("--threshold", type=float, help="threshold of the weights, in steps of 0.005, instead of choosing one")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the scenes of style wide")
    parser.add_argument("--out", type=Path, help="JSON file of the scores to write")
    options = parser.parse_args(arguments)
    if options.pairs < 1:
        raise ConfigError(f"--pairs must be at least 1, got {options.pairs}")
    if options.threshold is not None and not 0 <= options.threshold < 1:
        raise ConfigError(f"--threshold must be in [0, 1), got {options.threshold:g}")
    check_outputs({"--out": options.out}, [*options.weights.glob("*")])
    model = cdzoo.create_model(f"local-dir:{options.weights}").eval()
    found = calibrate(model, options.pairs, options.scales, options.augment, options.threshold, options.seed)
    print(f"threshold {found['threshold']:g}")
    for row in found["sets"]:
        best = f"at best {100 * row['best_f1']:.2f} at {row['best_threshold']:g}"
        print(f"{row['set']}: F1 {100 * row['f1']:.2f}, {100 * row['f1_at_half']:.2f} at 0.5, {best} ({row['pairs']} pairs)")
        if options.scales:
            print(f"  at scale {', '.join(f'{scale}: {100 * f1:.2f}' for scale, f1 in row['f1_at_scale'].items())}")
    if options.out is not None:
        facts = {"model": model.config.name, "weights_sha256": file_sha256(options.weights / WEIGHTS_FILE)}
        further = f" --scales {' '.join(f'{scale:g}' for scale in options.scales)}" if options.scales else ""
        further += f" --augment {options.augment}" if options.augment != "none" else ""
        further += f" --threshold {options.threshold:g}" if options.threshold is not None else ""
        further += f" --seed {options.seed}" if options.seed != SEED else ""
        command = f"python tools/calibrate.py FOLDER --pairs {options.pairs}{further}"
        write_json(options.out, {**facts, "command": command, **found, "environment": Environment.current().to_dict()})


if __name__ == "__main__":
    sys.exit(exit_code("calibrate", main))

"""`cdzoo demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.cli.common import PICTURES, print_weights
from cdzoo.constants import DEFAULT_WEIGHTS
from cdzoo.errors import ConfigError
from cdzoo.io.files import output_path

if TYPE_CHECKING:
    from cdzoo.models.detector import ChangeDetector

BATCH = 8
TRAIN_SIZE = 128  # side of the training scenes in pixels
MAX_TRAIN = 1200  # training scenes in memory, 140 MB
NUM_SCORED = 16


def demo(*, output: str = "cdzoo_demo.png", steps: int = 0, size: int = 256, seed: int = 0) -> None:
    """Predict and draw changes in synthetic scenes. Uses the bundled weights; requires no data and no network.

    Args:
        output: Picture to write.
        steps: Train new weights for this number of steps of 8 pairs first (1200 take four minutes).
        size: Side of the scenes in pixels.
        seed: Seed of the scenes, and of new weights.
    """
    picture = output_path(output, suffixes=PICTURES, purpose="the output is a picture")
    if steps < 0 or seed < 0:
        raise ConfigError(f"--steps and --seed must not be negative, got {steps} and {seed}")

    import torch

    import cdzoo
    from cdzoo.data import SyntheticScenes
    from cdzoo.io.files import replace_atomically
    from cdzoo.metrics import Confusion
    from cdzoo.visualize import UInt8, errors, mask_picture, strip

    try:
        scenes = SyntheticScenes(NUM_SCORED, size, seed=3 * seed + 2, unchanged=0)
    except ValueError as error:
        raise ConfigError(f"--size: {error}") from error
    start = time.monotonic()
    model = _train(steps, seed) if steps else cdzoo.create_model(DEFAULT_WEIGHTS).eval()
    if not steps:
        print_weights(model)
    total = Confusion(0, 0, 0, 0)
    rows: list[tuple[int, list[UInt8]]] = []
    for scene in (scenes[index] for index in range(NUM_SCORED)):
        before, after = (image.permute(1, 2, 0).numpy() for image in scene.images)
        change = cdzoo.predict_pair(model, before, after)
        target = scene.target["mask"].byte().numpy()
        total += Confusion.of(torch.from_numpy(change.mask), scene.target["mask"])
        panels = [before, after, mask_picture(target), mask_picture(change.mask), errors(change.mask, target)]
        rows.append((int(target.sum()), panels))
    titles = ["before", "after", "target", "prediction", "TP white, FP red, FN blue"]
    with replace_atomically(picture) as temporary:
        # The scenes with the most change, regardless of the prediction.
        shown = sorted(rows, key=lambda row: -row[0])[:3]
        strip([panels for _, panels in shown], titles).save(temporary)
    seconds = time.monotonic() - start
    print(f"{NUM_SCORED} unseen scenes of {size}x{size}, {seconds:.0f} s in all (a demonstration, not a benchmark):")
    print("  " + "  ".join(f"{name} {value:.3f}" for name, value in total.scores().items()))
    print(f"picture: {Path(output)}")


def _train(steps: int, seed: int) -> ChangeDetector:
    """Return a model trained on synthetic scenes other than the scored ones."""
    from cdzoo.config import ModelOptions
    from cdzoo.data.open import DataCfg
    from cdzoo.engine.config import TrainCfg
    from cdzoo.engine.run import run_training

    count = min(MAX_TRAIN, steps * BATCH)
    epochs = max(1, round(steps * BATCH / count))
    every = max(1, epochs // 3)
    cfg = TrainCfg(epochs=epochs, batch_size=BATCH, lr=5e-3, crop=TRAIN_SIZE, seed=seed, validate_every=every)
    model, _ = run_training(ModelOptions("glmamba_tiny"), DataCfg(f"synthetic:{count}"), cfg, report=print)
    return model

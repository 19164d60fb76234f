"""`cdzoo demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cdzoo.cli.common import describe_weights
from cdzoo.errors import ConfigError, InputError

WEIGHTS = "glmamba_tiny.synthetic"
BATCH = 8
TRAIN_SIZE = 128  # side of the training scenes in pixels
MAX_TRAIN = 1200  # scenes in memory, 140 MB
NUM_SCORED = 16


def demo(output: str = "cdzoo_demo.png", steps: int = 0, size: int = 256, seed: int = 0) -> None:
    """Map the change of synthetic scenes and draw it. Needs no file and no network.

    Args:
        output: Picture to write.
        steps: Train new weights for this many steps of 8 pairs first (1200: four minutes); 0 uses the weights in the package.
        size: Side of the scenes in pixels.
        seed: Seed of the scenes and weights.
    """
    picture = Path(output)
    if picture.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"-o {output}: expected a .png or .jpg file")
    if not picture.parent.is_dir():
        raise InputError(f"-o {output}: the folder {picture.parent} does not exist")
    if steps < 0 or seed < 0:
        raise ConfigError(f"--steps and --seed must not be negative, got {steps} and {seed}")

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
    model = _train(steps, seed) if steps else cdzoo.create_model(WEIGHTS).eval()
    if not steps:
        print(f"{describe_weights(model, WEIGHTS)}; in this package (--steps N trains new ones)", flush=True)
    total = Confusion(0, 0, 0, 0)
    rows: list[tuple[int, list[UInt8]]] = []
    for scene in (scenes[index] for index in range(NUM_SCORED)):
        before, after = (image.permute(1, 2, 0).numpy() for image in scene.images)
        change = cdzoo.predict_pair(model, before, after)
        truth = scene.target["mask"].byte().numpy()
        total += Confusion.of(_tensor(change.mask), scene.target["mask"])
        panels = [before, after, mask_picture(truth), mask_picture(change.mask), errors(change.mask, truth)]
        rows.append((int(truth.sum()), panels))
    titles = ["before", "after", "truth", "prediction", "TP white, FP red, FN blue"]
    with replace_atomically(picture) as temporary:
        # The scenes with the most change, regardless of the prediction.
        shown = sorted(rows, key=lambda row: -row[0])[:3]
        strip([panels for _, panels in shown], titles).save(temporary)
    print(f"{NUM_SCORED} unseen scenes of {size}x{size}, {time.monotonic() - start:.0f} s (a demonstration, not a benchmark):")
    print("  " + "  ".join(f"{name} {value:.3f}" for name, value in total.scores().items()))
    print(f"picture: {picture}")


def _train(steps: int, seed: int) -> Any:
    import torch
    from tqdm.auto import trange

    import cdzoo
    from cdzoo.data import SyntheticScenes
    from cdzoo.engine import TrainCfg, train

    torch.manual_seed(seed)
    model = cdzoo.create_model("glmamba_tiny")
    print(f"training {model.config.name} for {steps} steps on synthetic scenes", flush=True)
    count = min(MAX_TRAIN, steps * BATCH)
    scenes = SyntheticScenes(count, TRAIN_SIZE, seed=3 * seed, unchanged=0)
    train_set = [scenes[i] for i in trange(count, desc="generating scenes", unit="scene", dynamic_ncols=True)]
    epochs = max(1, round(steps * BATCH / count))
    cfg = TrainCfg(epochs=epochs, batch_size=BATCH, lr=5e-3, crop=TRAIN_SIZE, seed=seed, validate_every=max(1, epochs // 3))
    train(model, train_set, SyntheticScenes(NUM_SCORED, TRAIN_SIZE, seed=3 * seed + 1), cfg)
    return model


def _tensor(mask: Any) -> Any:
    import torch

    return torch.from_numpy(mask)

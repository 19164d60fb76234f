"""`cdzoo demo`: the whole path on scenes made on the spot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.errors import ConfigError, InputError

if TYPE_CHECKING:
    from cdzoo.models.detector import ChangeDetector

WEIGHTS = "glmamba_tiny.synthetic"
BATCH = 8
LESSON = 128  # side of the training scenes
MOST_SCENES = 1200  # kept in memory, 140 MB
JUDGED = 16  # scenes that the printed scores are from


def run_demo(output: str, steps: int, size: int, seed: int) -> None:
    """Judge `glmamba_tiny` on scenes that it has not seen, and draw three of them; with `steps`, train it first."""
    picture = Path(output)
    if picture.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"-o {output}: expected a .png or .jpg file")
    if not picture.parent.is_dir():
        raise InputError(f"-o {output}: there is no folder {picture.parent}; make it first")
    if steps < 0 or seed < 0:
        raise ConfigError(f"--steps and --seed must not be negative, got {steps} and {seed}")

    import torch

    import cdzoo
    from cdzoo.data import SyntheticScenes
    from cdzoo.io.files import replace_atomically
    from cdzoo.metrics import Confusion
    from cdzoo.visualize import UInt8, errors, mask_picture, strip

    try:
        unseen = SyntheticScenes(JUDGED, size, seed=3 * seed + 2, unchanged=0)
    except ValueError as error:
        raise ConfigError(f"--size: {error}") from error
    start = time.monotonic()
    torch.manual_seed(seed)
    if steps:
        model = cdzoo.create_model("glmamba_tiny")
        _train(model, steps, seed)
    else:
        print(f"weights {WEIGHTS}, from this package (--steps N trains new ones)", flush=True)
        model = cdzoo.create_model(WEIGHTS, pretrained=True).eval()
    total = Confusion(0, 0, 0, 0)
    rows: list[tuple[int, list[UInt8]]] = []
    for index in range(JUDGED):
        scene = unseen[index]
        before, after = (scene[key].permute(1, 2, 0).numpy() for key in ("image_a", "image_b"))
        change = cdzoo.predict_pair(model, before, after)
        total += Confusion.of(torch.from_numpy(change.mask), scene["mask"])
        truth = scene["mask"].byte().numpy()
        panels = [before, after, mask_picture(truth), mask_picture(change.mask), errors(change.mask, truth)]
        rows.append((int(truth.sum()), panels))
    titles = ["before", "after", "truth", "prediction", "found white, false red, missed blue"]
    with replace_atomically(picture) as temporary:
        # Those with the most change: chosen by the truth alone, so the picture is no better than the model.
        shown = sorted(rows, key=lambda row: -row[0])[:3]
        strip([panels for _, panels in shown], titles).save(temporary)
    print(f"{JUDGED} unseen scenes of {size}x{size}, {time.monotonic() - start:.0f} s in all (a demonstration, not a benchmark):")
    print("  " + "  ".join(f"{name} {value:.3f}" for name, value in total.scores().items()))
    print(f"picture: {picture}")


def _train(model: ChangeDetector, steps: int, seed: int) -> None:
    from tqdm import trange

    from cdzoo.data import SyntheticScenes
    from cdzoo.engine.config import TrainCfg
    from cdzoo.engine.fit import train

    print(f"training {model.config.name} for {steps} steps on scenes made on the spot", flush=True)
    count = min(MOST_SCENES, steps * BATCH)
    scenes = SyntheticScenes(count, LESSON, seed=3 * seed, unchanged=0)
    lessons = [scenes[i] for i in trange(count, desc="making scenes", unit="scene", dynamic_ncols=True)]
    epochs = round(steps * BATCH / count)
    train(
        model,
        lessons,
        SyntheticScenes(JUDGED, LESSON, seed=3 * seed + 1),
        TrainCfg(epochs=epochs, batch_size=BATCH, lr=5e-3, crop=LESSON, seed=seed, validate_every=max(1, epochs // 3)),
    )

"""`cdzoo predict`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cdzoo.errors import InputError

LOSSLESS = (".png", ".tif", ".tiff")


def run_predict(before: str, after: str, output: str, model: str, threshold: float, value_range: Any, device: str) -> None:
    """Write the mask, the probability and the overlay of one pair; all three or none."""
    mask_file = Path(output)
    if mask_file.suffix.lower() not in LOSSLESS:
        raise InputError(f"-o {output}: a mask needs a lossless format; use one of {', '.join(LOSSLESS)}")
    if not mask_file.parent.is_dir():
        raise InputError(f"-o {output}: there is no folder {mask_file.parent}; make it first")
    # Looked at before the model is loaded, which takes seconds.
    from cdzoo.data.images import read_image

    for image in (before, after):
        if not Path(image).is_file():
            read_image(image)  # says what is wrong

    from cdzoo.cli.build import build_model, pick_device
    from cdzoo.engine.predict import predict_pair
    from cdzoo.files import replace_atomically
    from cdzoo.visualize import overlay

    target = pick_device(device)
    # A registered name means its published weights: an untrained model would map noise.
    registered = not Path(model).is_dir() and ":" not in model
    detector = (build_model(model, pretrained=True) if registered else build_model(model)).to(target)
    change = predict_pair(detector, before, after, threshold, value_range and tuple(value_range))
    pictures = {
        mask_file: change.mask * 255,
        _beside(mask_file, "probability"): (change.probability * 255).round().astype(np.uint8),
        _beside(mask_file, "overlay"): overlay(change.after, change.mask),
    }
    with ExitStack() as stack:
        for file, pixels in pictures.items():
            Image.fromarray(pixels).save(stack.enter_context(replace_atomically(file)))
    share = change.mask.mean()
    print(f"{share:.2%} of {change.mask.shape[1]}x{change.mask.shape[0]} pixels changed (threshold {threshold})")
    for file in pictures:
        print(f"  {file}")


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}_{what}{path.suffix}")

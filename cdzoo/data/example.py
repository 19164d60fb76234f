"""A small example data set of generated pairs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.errors import ConfigError
from cdzoo.io.files import check_new_folder

_SEED = 7  # no scenes of the generated data sets


def write_example(out: Path, count: int = 20, size: int = 128) -> None:
    """Write generated pairs of aerial scenes as `A/pair_N.png`, `B/pair_N.png` and `label/pair_N.png` with masks of 0/255.

    Args:
        out: Folder to create. It is complete once it exists.
        count: Number of pairs.
        size: Side of the images in pixels.

    Raises:
        InputError: `out` exists.
        ConfigError: The number or the size is too small.
    """
    check_new_folder(out)
    try:
        scenes = SyntheticScenes(count, size, seed=_SEED)
    except ValueError as error:
        raise ConfigError(f"{out}: {error}") from error
    temporary = out.with_name(f".{out.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for name in ("A", "B", "label"):
            (temporary / name).mkdir(parents=True)
        for index in range(count):
            scene = scenes[index]
            pictures = [image.permute(1, 2, 0).numpy() for image in scene.images]
            pictures.append(scene.target["mask"].numpy().astype(np.uint8) * np.uint8(255))
            for name, pixels in zip(("A", "B", "label"), pictures, strict=True):
                Image.fromarray(np.ascontiguousarray(pixels)).save(temporary / name / f"pair_{index}.png")
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

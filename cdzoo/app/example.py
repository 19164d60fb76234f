"""The example pair: a generated scene, drawn as those of `cdzoo demo` but larger."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from cdzoo.data import SyntheticScenes

_SIZE = 512  # pixels
_SEED, _INDEX = 2, 3  # of the scenes of the demo, one with much change


def write_example(folder: Path) -> tuple[Path, Path]:
    """Write both dates of the example pair to a folder unless they are there, and return their files."""
    files = folder / "before.png", folder / "after.png"
    if not all(file.is_file() for file in files):
        scene = SyntheticScenes(_INDEX + 1, _SIZE, seed=_SEED, unchanged=0)[_INDEX]
        for image, file in zip(scene.images, files, strict=True):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    return files

"""`predict_pair`: two images in, the map of change out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cdzoo.errors import InputError
from cdzoo.io.images import read_image
from cdzoo.models.detector import ChangeDetector

_LARGEST_WHOLE = 2048
_TILE = 1024

Source = str | Path | npt.NDArray[np.uint8] | Any


@dataclass(frozen=True)
class ChangeMap:
    """What a model says about one pair.

    Attributes:
        mask: (H, W) uint8, 1 where it changed.
        probability: (H, W) float32 in [0, 1].
        before: (H, W, bands) uint8, the first date as it was read, or scaled to be shown.
        after: (H, W, bands) uint8, the second date.
    """

    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]


def predict_pair(
    model: ChangeDetector,
    before: Source,
    after: Source,
    threshold: float = 0.5,
    value_range: tuple[float, float] | None = None,
    augment: str = "none",
    tile: int | None = None,
) -> ChangeMap:
    """Map the change between two images of one place.

    Args:
        model: The detector; used in evaluation mode on the device where it is, and left in the mode it was in.
        before: First date: a path, a PIL image, or an array (H, W, bands) or (H, W) of uint8.
        after: Second date, the same size.
        threshold: Probability from which a pixel counts as changed, in (0, 1).
        value_range: Values of the files that are black and white; needed for files of more than 8 bits.
        augment: Test-time augmentation: `none`, `flips` (mean over four mirrorings), `swap` (over both orders of the dates),
            `all`.
        tile: Predict in blended tiles of this side, which bounds the memory that the model takes. By default an image is
            predicted whole up to 2048 pixels a side, and in tiles of 1024 beyond.

    Raises:
        ConfigError: The augmentation or the tile cannot be used.
        InputError: An image cannot be read or does not fit the model, the sizes differ, or `threshold` is out of range.
    """
    if not 0 < threshold < 1:
        raise InputError(f"threshold must be between 0 and 1, got {threshold}")
    first = _pixels(before, "the first image", model.config.bands[0], value_range)
    second = _pixels(after, "the second image", model.config.bands[1], value_range)
    if first.shape[:2] != second.shape[:2]:
        raise InputError(
            f"{_label(after, 'the second image')}: {second.shape[1]}x{second.shape[0]} pixels, but "
            f"{_label(before, 'the first image')} has {first.shape[1]}x{first.shape[0]}; expected the same size "
            f"(cut or resample one of them)"
        )
    from cdzoo.inference.tta import check_mode

    check_mode(augment, model.config.bands)
    if tile is None and max(first.shape[:2]) > _LARGEST_WHOLE:
        tile = _TILE
    was_training = model.training
    model.eval()
    try:
        probability = _whole(model, first, second, augment) if tile is None else _tiled(model, first, second, augment, tile)
    finally:
        model.train(was_training)
    return ChangeMap((probability >= threshold).astype(np.uint8), probability, _visible(first), _visible(second))


def _whole(model: ChangeDetector, first: Any, second: Any, augment: str) -> npt.NDArray[np.float32]:
    from cdzoo.inference.tta import probability

    device = next(model.parameters()).device
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].to(device) for image in (first, second)]
    with torch.inference_mode():
        return probability(model, tensors[0], tensors[1], augment)[0].cpu().numpy()


def _tiled(model: ChangeDetector, first: Any, second: Any, augment: str, tile: int) -> npt.NDArray[np.float32]:
    from cdzoo.inference.blocks import ArraySource, CarryInMemory, Plan, parts

    height, width = first.shape[:2]
    probability = np.empty((height, width), np.float32)
    plan = Plan(model, height, width, tile, tile // 4, batch_size=1)
    for part in parts(model, ArraySource(first), ArraySource(second), plan, CarryInMemory(), augment):
        probability[part.rows.start : part.rows.stop, part.columns.start : part.columns.stop] = part.probability
    return probability


def _visible(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return image if image.dtype == np.uint8 else (image.clip(0, 1) * 255).round().astype(np.uint8)


def _pixels(source: Source, label: str, bands: int, value_range: tuple[float, float] | None) -> npt.NDArray[Any]:
    if isinstance(source, str | Path):
        return read_image(source, bands, value_range)
    pixels = np.array(source)  # a copy: torch warns of arrays that it may not write to
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != bands:
        raise InputError(f"{label}: expected uint8 (H, W, {bands}), got {pixels.dtype} {pixels.shape}")
    return pixels


def _label(source: Source, default: str) -> str:
    return str(source) if isinstance(source, str | Path) else default

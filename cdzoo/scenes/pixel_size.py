"""Scale at which a model sees a scene, by the size of its pixels on the ground."""

from __future__ import annotations

import warnings

from cdzoo.errors import ConfigError
from cdzoo.inference.model import PairModel
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid
from cdzoo.scenes.report.place import Place

_TOLERANCE = 1.25  # factor by which pixels may be larger or smaller than those that weights are for
_LARGEST_FACTOR = 4.0  # beyond it, resampling cannot replace what images do not show


def advised_scale(pixel: float, known: tuple[float, float]) -> float | None:
    """Return the scale at which pixels have a size that weights are for, to two digits.

    Args:
        pixel: Side of the pixels in meters.
        known: Smallest and largest side in meters of the pixels that the weights are for.

    Returns:
        1 for pixels of about these sizes, None for pixels that are too far from them.
    """
    low, high = known
    factor = pixel / min(max(pixel, low), high)
    if 1 / _TOLERANCE <= factor <= _TOLERANCE:
        return 1.0
    return float(f"{factor:.2g}") if 1 / _LARGEST_FACTOR <= factor <= _LARGEST_FACTOR else None


def scene_scale(scale: float | str, model: PairModel, image: PathLike, grid: Grid) -> float:
    """Return the scale of a scene, and warn of pixels that its weights are not for.

    Args:
        scale: Factor, or `auto` for the advised one.
        model: Model, whose published weights state the pixels that they are for.
        image: First date, for messages.
        grid: Its grid.

    Raises:
        ConfigError: `auto` for weights that do not state the size of pixels, or for an image without a coordinate system.
    """
    weights = model.pretrained_cfg
    known = None if weights is None else weights.pixel_size
    pixel = Place(grid).meters if known is not None or scale == "auto" else None
    if scale == "auto" and known is None:
        name = model.config.name if weights is None else weights.name
        raise ConfigError(f"scale=auto: the weights of {name} do not state which size of pixels they are for; pass a number")
    if scale == "auto" and pixel is None:
        raise ConfigError(f"{image}: has no coordinate system, so the size of its pixels is unknown; pass a number as scale")
    if weights is None or known is None or pixel is None:
        return float(scale)
    advised = advised_scale(pixel, known)
    seen = f"{image}: pixels of {pixel:.3g} m, while {weights.name} is for {known[0]:g} to {known[1]:g} m"
    if advised is None and scale in (1, "auto"):
        warnings.warn(f"{seen}; expect poor maps, and train a model on such images", stacklevel=3)
    elif scale == 1 and advised != 1:
        warnings.warn(f"{seen}; --scale {advised:g}, or --scale auto, brings them there", stacklevel=3)
    return float(scale) if scale != "auto" else advised or 1.0

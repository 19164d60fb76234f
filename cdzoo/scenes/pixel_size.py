"""Scale at which a model sees a scene, by the size of its pixels on the ground."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

from cdzoo.errors import InputError, MissingDependencyError
from cdzoo.inference.model import PairModel
from cdzoo.io.files import PathLike
from cdzoo.io.formats import is_tiff
from cdzoo.io.georeference import Grid, grid_of
from cdzoo.io.rasters import open_raster
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
    """Return the scale of a scene.

    Args:
        scale: Factor, or `auto` for the advised one: 1 if the weights do not state which pixels they are for, the image has no
            coordinate system, or the model takes images of certain sizes only. Pixels that no scale helps are named.
        model: Model.
        image: First date, for messages.
        grid: Its grid.
    """
    if scale != "auto":
        return float(scale)
    weights = model.pretrained_cfg
    known = None if weights is None else weights.pixel_size
    pixel = None if known is None else Place(grid).meters
    if weights is None or known is None or pixel is None:
        return 1.0
    advised = advised_scale(pixel, known)
    if advised is None:
        seen = f"{image}: pixels of {pixel:.3g} m, while {weights.name} is for {known[0]:g} to {known[1]:g} m"
        warnings.warn(f"{seen}; expect poor maps, and train a model on such images", stacklevel=3)
    return advised if advised is not None and model.input_sizes.free else 1.0


def picture_scale(scale: float | str, model: PairModel, image: PathLike) -> float:
    """Return the scale of a pair of which pictures are written: that of a scene for TIFFs, if rasterio is installed."""
    if scale == "auto" and is_tiff(Path(image)):
        with suppress(InputError, MissingDependencyError), open_raster(image) as source:
            return scene_scale(scale, model, image, grid_of(image, source))
    return 1.0 if scale == "auto" else float(scale)

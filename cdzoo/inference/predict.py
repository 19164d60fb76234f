"""`predict_pair`: change map of two images."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cdzoo.constants import WINDOW_BATCH
from cdzoo.errors import InputError
from cdzoo.inference.blocks import WindowGrid, predict_blocks, probability_channels
from cdzoo.inference.change_map import ChangeMap
from cdzoo.inference.model import PairModel
from cdzoo.inference.rescaled import batch_at_scale, rescaled
from cdzoo.inference.resolve import resolve_model, resolve_threshold
from cdzoo.inference.sources import Array, ArraySource
from cdzoo.inference.tta import check_mode
from cdzoo.io.georeference import georeference_mismatch
from cdzoo.io.images import check_value_range, image_format
from cdzoo.io.scaling import Scaling
from cdzoo.io.value_ranges import filled_scalings
from cdzoo.io.values import values_mismatch
from cdzoo.models.modes import evaluating
from cdzoo.models.preprocess import ImageLike, load_pixels

__all__ = ["ChangeMap", "predict_pair"]

F = TypeVar("F", bound=Callable[..., Any])


def _accept_positional_options(function: F) -> F:
    """Accept keyword-only arguments by position, with a DeprecationWarning."""
    parameters = inspect.signature(function).parameters.values()
    options = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    leading = len(parameters) - len(options)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(options, args[leading:], strict=False))
        if given and len(args) <= len(parameters) and not given.keys() & kwargs.keys():
            message = f"{function.__name__}: pass {', '.join(f'{name}=...' for name in given)} by keyword"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            args, kwargs = args[:leading], {**given, **kwargs}
        return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


@_accept_positional_options
def predict_pair(
    model: PairModel | str | Path,
    before: ImageLike,
    after: ImageLike,
    *,
    threshold: float | None = None,
    value_range: tuple[float, float] | None = None,
    augment: str = "none",
    scale: float = 1.0,
    tile: int | None = None,
    overlap: int | None = None,
    batch_size: int = WINDOW_BATCH,
) -> ChangeMap:
    """Predict the change between two co-registered images, in windows as `predict_scene` does.

    Args:
        model: Model, used in evaluation mode on its device, after which its mode is restored. Or a name as for `create_model`,
            whose weights are loaded: `"glmamba_tiny"` (default weights), `"glmamba_tiny.synthetic"`, `"local-dir:FOLDER"`. Or the
            path of an exported file, which ONNX Runtime runs: `"model.onnx"`.
        before: First date: path, PIL image, array (H, W, bands) or (H, W), or tensor (bands, H, W); uint8, or float in [0, 1].
        after: Second date, of the same size.
        threshold: Minimum probability for a pixel to count as changed, in (0, 1); by default that of the published weights of the
            model, or 0.5.
        value_range: Values of files that map to 0 and 1; required for files of more than 8 bits of which `tell_scalings` does not
            tell the meaning.
        augment: Test-time augmentation: `"none"`, `"flips"` (mean over four flips), `"swap"` (mean over both orders of the dates)
            or `"all"` (mean over both).
        scale: Factor by which images are enlarged for the model, in [0.1, 8]: above 1 if their pixels are larger on the ground
            than those of its training images, below 1 if they are smaller. Time grows with its square.
        tile: Side of the blended windows in which the images are predicted; by default 512, or the fixed input size of the model.
            Images that are not larger are predicted whole.
        overlap: Overlap of neighboring windows in pixels, at most half of `tile`; a quarter of it by default.
        batch_size: Number of windows predicted at once; fewer at a scale above 1.

    Raises:
        ConfigError: The model, the augmentation, the scale or the tile cannot be used.
        InputError: An image cannot be read or does not match the model, the sizes differ, `threshold` is out of range, or two
            files lie at other places according to their georeference, or store values of other depths or scales.
        UnknownNameError: There is no model of this name.
        WeightsError: The weights of the named model are not published or cannot be loaded.
    """
    model = resolve_model(model)
    threshold = resolve_threshold(model, threshold)
    check_mode(augment, model)
    check_value_range(value_range)
    labels = (_label(before, "the first image"), _label(after, "the second image"))
    if isinstance(before, str | Path) and isinstance(after, str | Path):
        _check_files(before, after)
    scalings = _scalings(before, after, value_range)
    x1, x2 = (_load(model, image, date, labels[date], scalings[date]) for date, image in enumerate((before, after)))
    height, width = x1.shape[:2]
    if x1.shape[:2] != x2.shape[:2]:
        raise InputError(
            f"{labels[1]}: {x2.shape[1]}x{x2.shape[0]} pixels, but {labels[0]} has {width}x{height}; expected the same size "
            "(cut or resample one of them)"
        )
    scaled = rescaled(model, scale)
    grid = WindowGrid(scaled, height, width, tile, overlap, batch_at_scale(model, scale, batch_size))
    found = np.empty((*probability_channels(model), height, width), np.float32)
    with evaluating(model):
        for block in predict_blocks(scaled, ArraySource(x1), ArraySource(x2), grid, augment):
            found[(..., *block.window.slices)] = block.probability
    maps = model.task.predict_maps(found, threshold)
    mask = maps[next(iter(model.task.maps))]
    files = tuple(Path(image) for image in (before, after) if isinstance(image, str | Path))
    return ChangeMap(mask, found, _to_uint8(x1), _to_uint8(x2), maps, model.task.maps, model.task, threshold, files)


def _check_files(before: str | Path, after: str | Path) -> None:
    if problem := georeference_mismatch(before, after) or values_mismatch(before, after):
        raise InputError(
            f"{problem}; predict_scene, or an output .tif, resamples to one grid and takes a range of values per date"
        )


def _load(model: PairModel, image: ImageLike, date: int, label: str, scaling: Scaling) -> npt.NDArray[Any]:
    bands, published = model.bands[date], model.pretrained_cfg
    # One more band may be an opaque alpha channel, which is dropped.
    if published is not None and (found := _count_bands(image)) not in (bands, bands + 1):
        names = f": {', '.join(published.bands)}" if len(published.bands) == bands else ""
        raise InputError(f"{label}: {found} band(s), but the weights {published.name} expect {bands}{names}")
    if scaling.decibels and isinstance(image, str | Path):
        return scaling.read(image, bands)[0]
    return np.ascontiguousarray(load_pixels(image, bands, label, scaling.value_range))


def _scalings(before: ImageLike, after: ImageLike, value_range: tuple[float, float] | None) -> tuple[Scaling, Scaling]:
    """Return the scaling of each date; of files of more than 8 bits without a range, what their numbers tell, with a note."""
    given = Scaling(value_range), Scaling(value_range)
    if not (isinstance(before, str | Path) and isinstance(after, str | Path)):
        return given
    scalings, lines = filled_scalings((before, after), [image_format(path)[3] for path in (before, after)], given)
    for line in lines:
        warnings.warn(line, stacklevel=3)
    return scalings


def _count_bands(image: ImageLike) -> int:
    if isinstance(image, str | Path):
        return image_format(image)[2]
    shape = np.shape(image)
    if len(shape) != 3:
        return 1
    return int(shape[0 if isinstance(image, Tensor) else 2])


def _label(image: ImageLike, default: str) -> str:
    return str(image) if isinstance(image, str | Path) else default


def _to_uint8(image: Array) -> npt.NDArray[np.uint8]:
    return image if image.dtype == np.uint8 else (image.clip(0, 1) * 255).round().astype(np.uint8)

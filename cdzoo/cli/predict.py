"""`cdzoo predict`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cdzoo.errors import InputError

RASTERS = (".tif", ".tiff")
_PRODUCTS = ("probability", "polygons", "report")


def run_predict(
    before: str, after: str, output: str, model: str, threshold: float, value_range: Any, device: str, **options: Any
) -> None:
    """Map one pair: a GeoTIFF for an output called .tif, pictures for one called .png."""
    target = Path(output)
    if target.suffix.lower() not in (".png", *RASTERS):
        raise InputError(f"-o {output}: a mask needs a lossless format; use one of .png, {', '.join(RASTERS)}")
    if not target.parent.is_dir():
        raise InputError(f"-o {output}: there is no folder {target.parent}; make it first")
    if target.suffix.lower() in RASTERS:
        _map_scene(before, after, target, model, threshold, value_range, device, options)
    else:
        if given := [name for name in (*_PRODUCTS, "percentiles") if options.get(name) is not None]:
            raise InputError(f"--{given[0]} belongs to maps of scenes: name the output .tif")
        _map_pictures(before, after, target, model, threshold, value_range, device)


def _load(model: str, device: str) -> Any:
    from cdzoo.cli.build import build_model, pick_device

    target = pick_device(device)
    # A registered name means its published weights: an untrained model would map noise.
    registered = not Path(model).is_dir() and ":" not in model
    return (build_model(model, pretrained=True) if registered else build_model(model)).to(target)


def _map_scene(
    before: str, after: str, target: Path, model: str, threshold: float, value_range: Any, device: str, options: dict[str, Any]
) -> None:
    """Write a Cloud Optimized GeoTIFF, in strips, with memory that does not depend on the size of the scene."""
    for file in (before, after):
        if not Path(file).is_file():
            raise InputError(f"{file}: no such file")
    from cdzoo.scenes import PolygonCfg, SceneCfg, predict_scene

    probability, polygons, report = (options.pop(name) for name in _PRODUCTS)
    cleaning = PolygonCfg(options.pop("min_area"), options.pop("fill_holes"), options.pop("simplify"))
    options["probability"] = options.pop("probability_type")
    for name, value in (("value_range", value_range), ("percentiles", options.pop("percentiles"))):
        options[name] = value and tuple(value)
    cfg = SceneCfg(threshold=threshold, **options)
    result = predict_scene(_load(model, device), before, after, target, cfg, probability, polygons, cleaning, report)
    share = result.changed / result.pixels if result.pixels else 0.0
    again = f", {result.resumed} strips of them from an earlier run" if result.resumed else ""
    print(f"{share:.2%} of {result.pixels:,} pixels with data changed (threshold {threshold}); {result.seconds:.0f} s{again}")
    for path in (result.mask, result.probability, polygons, report):
        if path is not None:
            print(f"  {path}{f' ({result.polygons} polygons)' if path == polygons else ''}")


def _map_pictures(before: str, after: str, mask_file: Path, model: str, threshold: float, value_range: Any, device: str) -> None:
    """Write the mask, the probability and the overlay of one pair; all three or none."""
    # Looked at before the model is loaded, which takes seconds.
    from cdzoo.data.images import read_image

    for image in (before, after):
        if not Path(image).is_file():
            read_image(image)  # says what is wrong

    from cdzoo.engine.predict import predict_pair
    from cdzoo.files import replace_atomically
    from cdzoo.visualize import overlay

    change = predict_pair(_load(model, device), before, after, threshold, value_range and tuple(value_range))
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

"""`cdzoo predict`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cdzoo.errors import InputError

RASTERS = (".tif", ".tiff")
_PRODUCTS = ("probability", "polygons", "report")


def run_predict(
    before: str | None,
    after: str | None,
    output: str | None,
    model: str,
    threshold: float,
    value_range: Any,
    device: str,
    manifest: str | None,
    ray: str | None,
    workers: int | None,
    **options: Any,
) -> int:
    """Map one pair (a GeoTIFF for an output called .tif, pictures for one called .png), or the scenes of a list."""
    if manifest is not None:
        if before is not None or output is not None or any(options.get(name) is not None for name in _PRODUCTS):
            raise InputError("--manifest names images and outputs itself: give no others")
        return _map_many(manifest, ray, workers, model, threshold, value_range, device, options)
    if before is None or after is None or output is None:
        raise InputError("name two images and an output: cdzoo predict BEFORE AFTER -o MAP; or a list of scenes: --manifest FILE")
    if ray is not None:
        raise InputError("--ray predicts the scenes of a list: give --manifest FILE")
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
        _map_pictures(before, after, target, model, threshold, value_range, device, options["augment"])
    return 0


def _map_many(
    manifest: str,
    ray: str | None,
    workers: int | None,
    model: str,
    threshold: float,
    value_range: Any,
    device: str,
    options: dict[str, Any],
) -> int:
    """Predict the scenes of a list that are not finished; return 1 if one could not be."""
    from cdzoo.scenes.many import predict_on_ray, predict_scenes, read_manifest, unfinished

    for name in _PRODUCTS:
        options.pop(name)
    cfg, cleaning = _settings(threshold, value_range, options)
    scenes = read_manifest(manifest)
    missing = unfinished(scenes)
    print(f"{len(scenes)} scenes, {len(scenes) - len(missing)} of them done before", flush=True)
    if not missing:
        return 0
    load = partial(_load, model, device)
    if ray is None:
        outcomes = predict_scenes(load, missing, cfg, cleaning)
    else:
        from cdzoo.cli.build import pick_device

        on_gpu = pick_device(device).type == "cuda"
        address = None if ray == "local" else ray
        outcomes = predict_on_ray(
            load, missing, cfg, cleaning, address, workers, gpus=1.0 if on_gpu else 0.0, cores=1.0 if on_gpu else 2.0
        )
    failed = 0
    for number, outcome in enumerate(outcomes, 1):
        failed += bool(outcome.error)
        share = f"{outcome.changed / outcome.pixels:.2%} changed, {outcome.seconds:.0f} s" if outcome.pixels else "no data"
        print(f"[{number}/{len(missing)}] {outcome.output}: {'failed: ' + outcome.error if outcome.error else share}", flush=True)
    if failed:
        print(f"{failed} of {len(missing)} scenes failed; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def _settings(threshold: float, value_range: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Take the options of scenes apart: how they are predicted, and how polygons are cleaned."""
    from cdzoo.scenes import PolygonCfg, SceneCfg

    cleaning = PolygonCfg(options.pop("min_area"), options.pop("fill_holes"), options.pop("simplify"))
    options["probability"] = options.pop("probability_type")
    for name, value in (("value_range", value_range), ("percentiles", options.pop("percentiles"))):
        options[name] = value and tuple(value)
    return SceneCfg(threshold=threshold, **options), cleaning


def _load(model: str, device: str) -> Any:
    from cdzoo.cli.build import build_model, pick_device

    target = pick_device(device)
    # A registered name means its published weights: an untrained model would map noise.
    registered = not Path(model).is_dir() and ":" not in model
    return (build_model(model, pretrained=True) if registered else build_model(model)).to(target)


def _map_scene(
    before: str, after: str, target: Path, model: str, threshold: float, value_range: Any, device: str, options: dict[str, Any]
) -> None:
    """Write a Cloud Optimized GeoTIFF, part by part, with memory that does not depend on the size of the scene."""
    for file in (before, after):
        if not Path(file).is_file():
            raise InputError(f"{file}: no such file")
    from cdzoo.scenes import predict_scene

    probability, polygons, report = (options.pop(name) for name in _PRODUCTS)
    cfg, cleaning = _settings(threshold, value_range, options)
    result = predict_scene(_load(model, device), before, after, target, cfg, probability, polygons, cleaning, report)
    share = result.changed / result.pixels if result.pixels else 0.0
    again = f", {result.resumed} parts were there from an earlier run" if result.resumed else ""
    print(f"{share:.2%} of {result.pixels:,} pixels with data changed (threshold {threshold}); {result.seconds:.0f} s{again}")
    for path in (result.mask, result.probability, polygons, report):
        if path is not None:
            print(f"  {path}{f' ({result.polygons} polygons)' if path == polygons else ''}")


def _map_pictures(
    before: str, after: str, mask_file: Path, model: str, threshold: float, value_range: Any, device: str, augment: str
) -> None:
    """Write the mask, the probability and the overlay of one pair; all three or none."""
    # Looked at before the model is loaded, which takes seconds.
    from cdzoo.io.images import read_image

    for image in (before, after):
        if not Path(image).is_file():
            read_image(image)  # says what is wrong

    from cdzoo.inference.predict import predict_pair
    from cdzoo.io.files import replace_atomically
    from cdzoo.visualize import overlay

    scaling = value_range and tuple(value_range)
    change = predict_pair(_load(model, device), before, after, threshold, scaling, augment)
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

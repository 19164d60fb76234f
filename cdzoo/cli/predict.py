"""`cdzoo predict`."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cdzoo.cli.common import describe_weights, load_trained, pick_device
from cdzoo.errors import InputError
from cdzoo.scenes.config import PolygonCfg, SceneCfg

DEFAULT_WEIGHTS = "glmamba_tiny.synthetic"
RASTERS = (".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class ProbabilityCfg:
    """Type of the probability map.

    Attributes:
        probability_type: Type of the probability map: uint8 (200 is 1.0) or float32.
    """

    probability_type: Literal["uint8", "float32"] = "uint8"


def predict(
    scene: SceneCfg,
    polygon: PolygonCfg,
    map_: ProbabilityCfg,
    before: str | None = None,
    after: str | None = None,
    output: str | None = None,
    model: str = DEFAULT_WEIGHTS,
    device: str = "auto",
    probability: str | None = None,
    polygons: str | None = None,
    report: str | None = None,
    manifest: str | None = None,
    ray: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> int:
    """Map the change between two images of one place, of any size, or of a list of scenes.

    Args:
        scene: Prediction.
        polygon: Polygons.
        map_: Probability map.
        before: First date: an image (PNG, JPEG), or any raster that GDAL reads.
        after: Second date; rasters may have another grid.
        output: Map to write: .tif for a georeferenced map, .png for a picture.
        model: Folder of a run, hf-hub:owner/name, or a tag of cdzoo list --kind weight.
        device: Device: auto, cpu, cuda or mps.
        probability: GeoTIFF of the probability to write.
        polygons: File of the changed areas to write: .gpkg, .geojson or .parquet.
        report: HTML page to write, with both dates, the map and the largest changes.
        manifest: CSV file of scenes: before, after, output, and optionally probability, polygons, report.
        ray: Predict the scenes of a manifest on Ray: the address of a cluster, or local.
        workers: Number of Ray workers; one per GPU or per two cores by default.
        progress: Show a progress bar.
    """
    products = {"probability": probability, "polygons": polygons, "report": report}
    cfg = dataclasses.replace(scene, probability=map_.probability_type, progress=progress)
    if manifest is not None:
        if before is not None or output is not None or any(products.values()):
            raise InputError("--manifest names the images and outputs: pass no others")
        return _predict_manifest(manifest, ray, workers, model, device, cfg, polygon)
    if before is None or after is None or output is None:
        raise InputError("pass two images and an output: cdzoo predict BEFORE AFTER -o MAP; or a list of scenes: --manifest FILE")
    if ray is not None:
        raise InputError("--ray predicts the scenes of a list: pass --manifest FILE")
    target = Path(output)
    if target.suffix.lower() not in (".png", *RASTERS):
        raise InputError(f"-o {output}: a mask needs a lossless format; use one of .png, {', '.join(RASTERS)}")
    if not target.parent.is_dir():
        raise InputError(f"-o {output}: the folder {target.parent} does not exist")
    if target.suffix.lower() in RASTERS:
        _predict_scene(before, after, target, model, device, cfg, polygon, products)
        return 0
    given = [name for name, value in {**products, "percentiles": cfg.percentiles}.items() if value is not None]
    if given:
        raise InputError(f"--{given[0]} is for maps of scenes: name the output .tif")
    _predict_picture(before, after, target, model, device, cfg)
    return 0


def _load(model: str, device: str) -> Any:
    return load_trained(model).to(pick_device(device))


def _predict_scene(
    before: str,
    after: str,
    target: Path,
    model: str,
    device: str,
    cfg: SceneCfg,
    polygon: PolygonCfg,
    products: dict[str, str | None],
) -> None:
    for file in (before, after):
        if not Path(file).is_file():
            raise InputError(f"{file}: no such file")
    from cdzoo.scenes import predict_scene

    detector = _load(model, device)
    print(describe_weights(detector, model), flush=True)
    result = predict_scene(detector, before, after, target, cfg, polygon_cfg=polygon, **products)
    share = result.changed / result.pixels if result.pixels else 0.0
    resumed = f", {result.resumed} blocks of an interrupted run" if result.resumed else ""
    print(
        f"{share:.2%} of {result.pixels:,} pixels with data changed (threshold {result.threshold:g}); "
        f"{result.seconds:.0f} s{resumed}"
    )
    for path in (result.mask, result.probability, products["polygons"], products["report"]):
        if path is not None:
            print(f"  {path}{f' ({result.polygons} polygons)' if path == products['polygons'] else ''}")


def _predict_manifest(
    manifest: str, ray: str | None, workers: int | None, model: str, device: str, cfg: SceneCfg, polygon: PolygonCfg
) -> int:
    """Predict the scenes of a manifest that are not finished; return 1 if one failed."""
    from cdzoo.scenes.many import predict_on_ray, predict_scenes, read_manifest, unfinished

    scenes = read_manifest(manifest)
    missing = unfinished(scenes)
    print(f"{len(scenes)} scenes, {len(scenes) - len(missing)} of them finished before", flush=True)
    if not missing:
        return 0
    load = partial(_load, model, device)
    if ray is None:
        outcomes = predict_scenes(load, missing, cfg, polygon)
    else:
        on_gpu = pick_device(device).type == "cuda"
        address = None if ray == "local" else ray
        resources = {"gpus": 1.0 if on_gpu else 0.0, "cores": 1.0 if on_gpu else 2.0}
        outcomes = predict_on_ray(load, missing, cfg, polygon, address, workers, **resources)
    failed = 0
    for number, outcome in enumerate(outcomes, 1):
        failed += bool(outcome.error)
        share = f"{outcome.changed / outcome.pixels:.2%} changed, {outcome.seconds:.0f} s" if outcome.pixels else "no data"
        print(f"[{number}/{len(missing)}] {outcome.output}: {'failed: ' + outcome.error if outcome.error else share}", flush=True)
    if failed:
        print(f"{failed} of {len(missing)} scenes failed; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def _predict_picture(before: str, after: str, target: Path, model: str, device: str, cfg: SceneCfg) -> None:
    """Write the mask, the probability and the overlay of a pair of images."""
    import numpy as np
    from PIL import Image

    from cdzoo.inference.predict import predict_pair
    from cdzoo.io.files import replace_atomically
    from cdzoo.io.images import image_size
    from cdzoo.visualize import overlay

    for file in (before, after):  # before the model is loaded, which takes seconds
        image_size(file)
    detector = _load(model, device)
    change = predict_pair(detector, before, after, threshold=cfg.threshold, value_range=cfg.value_range, augment=cfg.augment)
    pictures = {
        target: change.mask * 255,
        _beside(target, "probability"): (change.probability * 255).round().astype(np.uint8),
        _beside(target, "overlay"): overlay(change.after, change.mask),
    }
    with ExitStack() as stack:
        for picture, pixels in pictures.items():
            Image.fromarray(pixels).save(stack.enter_context(replace_atomically(picture)))
    print(describe_weights(detector, model))
    print(f"{change.mask.mean():.2%} of {change.mask.shape[1]}x{change.mask.shape[0]} pixels changed")
    for picture in pictures:
        print(f"  {picture}")


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}_{name}{path.suffix}")

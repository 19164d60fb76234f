"""`cdzoo predict`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.cli.common import DEFAULT_WEIGHTS, load_trained, pick_device, print_weights
from cdzoo.errors import InputError
from cdzoo.io.files import output_path
from cdzoo.io.inputs import existing_file
from cdzoo.scenes.outputs import RASTERS

if TYPE_CHECKING:
    from cdzoo.models.detector import ChangeDetector
    from cdzoo.scenes.config import PolygonCfg, SceneCfg


def predict(
    before: str | None = None,
    after: str | None = None,
    *,
    output: str | None = None,
    model: str = DEFAULT_WEIGHTS,
    device: str = "auto",
    cfg: SceneCfg,
    polygon_cfg: PolygonCfg,
    probability: str | None = None,
    polygons: str | None = None,
    report: str | None = None,
    manifest: str | None = None,
    ray: bool | str = False,
    workers: int | None = None,
) -> int:
    """Map the change between two images of any size, or of a list of scenes.

    A .png output writes pictures of the mask, the probability and an overlay. A .tif output writes a georeferenced map, with
    options for windows, polygons and a report.

    Args:
        before: First date: an image (PNG, JPEG), or any raster that GDAL reads.
        after: Second date; rasters may have another grid.
        output: Map to write: .png or .tif.
        model: Folder of a run, tag (MODEL.TAG), model with published weights, or hf-hub:owner/name.
        device: auto, cpu, cuda or mps.
        cfg: Prediction.
        polygon_cfg: Polygons.
        probability: GeoTIFF to write the probability to, in addition.
        polygons: File to write the changed areas to, in addition: .gpkg, .geojson or .parquet.
        report: HTML page to write, in addition, with both dates, the map and the largest changes.
        manifest: CSV file of scenes with the columns before, after, output, and optionally probability, polygons, report.
        ray: Predict the scenes of the manifest with Ray: address of a cluster; without an address, Ray is started locally.
        workers: Number of Ray workers; one per GPU, or per two cores, by default.
    """
    products = {"probability": probability, "polygons": polygons, "report": report}
    job = _Job(model, device, cfg, polygon_cfg)
    if manifest is not None:
        if before is not None or output is not None or any(products.values()):
            raise InputError("--manifest names the images and outputs: pass no others")
        return job.predict_list(manifest, ray, workers)
    if before is None or after is None or output is None:
        raise InputError("pass two images and an output: cdzoo predict BEFORE AFTER -o MAP; or a list of scenes: --manifest FILE")
    if ray:
        raise InputError("--ray predicts a list of scenes: pass --manifest FILE")
    target = output_path(output, suffixes=(".png", *RASTERS), purpose="a mask needs a lossless format")
    for file in (before, after):  # before the model is loaded, which takes seconds
        existing_file(file)
    if target.suffix.lower() in RASTERS:
        job.predict_scene(before, after, target, products)
    elif given := [name for name, value in {**products, "percentiles": cfg.percentiles}.items() if value is not None]:
        raise InputError(f"--{given[0]} is for maps of scenes: name the output .tif")
    else:
        job.predict_pictures(before, after, target)
    return 0


@dataclass(frozen=True)
class _Job:
    """Model and settings of all pairs."""

    model: str
    device: str
    cfg: SceneCfg
    polygon_cfg: PolygonCfg

    def load(self) -> ChangeDetector:
        return load_trained(self.model).to(pick_device(self.device))

    def load_named(self) -> ChangeDetector:
        """Load the model and print which weights it has."""
        model = self.load()
        print_weights(model, self.model)
        return model

    def predict_scene(self, before: str, after: str, target: Path, products: dict[str, str | None]) -> None:
        from cdzoo.scenes import predict_scene

        model = self.load_named()
        result = predict_scene(model, before, after, target, self.cfg, polygon_cfg=self.polygon_cfg, **products)
        share = result.changed / result.pixels if result.pixels else 0.0
        resumed = f", {result.resumed} blocks of an interrupted run" if result.resumed else ""
        text = f"{share:.2%} of {result.pixels:,} pixels with data changed (threshold {result.threshold:g})"
        print(f"{text}; {result.seconds:.0f} s{resumed}")
        for path in (result.mask, result.probability, products["polygons"], products["report"]):
            if path is not None:
                print(f"  {path}{f' ({result.polygons} polygons)' if path == products['polygons'] else ''}")

    def predict_pictures(self, before: str, after: str, target: Path) -> None:
        """Write mask, probability and overlay: all of them or none."""
        import numpy as np
        from PIL import Image

        from cdzoo.inference.predict import predict_pair
        from cdzoo.inference.resolve import resolve_threshold
        from cdzoo.io.files import replace_atomically
        from cdzoo.visualize import overlay

        model, cfg = self.load(), self.cfg
        threshold = resolve_threshold(model, cfg.threshold)
        change = predict_pair(model, before, after, threshold=threshold, value_range=cfg.value_range, augment=cfg.augment)
        pictures = {
            target: change.mask * 255,
            target.with_stem(f"{target.stem}_probability"): (change.probability * 255).round().astype(np.uint8),
            target.with_stem(f"{target.stem}_overlay"): overlay(change.after, change.mask),
        }
        with ExitStack() as stack:
            for file, pixels in pictures.items():
                Image.fromarray(pixels).save(stack.enter_context(replace_atomically(file)))
        print_weights(model, self.model)
        height, width = change.mask.shape
        print(f"{change.mask.mean():.2%} of {width}x{height} pixels changed (threshold {threshold:g})")
        print("\n".join(f"  {file}" for file in pictures))

    def predict_list(self, manifest: str, ray: bool | str, workers: int | None) -> int:
        """Predict the scenes of a list that are not finished; return 1 if one of them fails."""
        from cdzoo.scenes.many import predict_on_ray, predict_scenes, read_manifest, unfinished

        scenes = read_manifest(manifest)
        missing = unfinished(scenes)
        print(f"{len(scenes)} scenes, {len(scenes) - len(missing)} of them finished before", flush=True)
        if not missing:
            return 0
        count = len(missing)
        if not ray:
            outcomes = predict_scenes(self.load_named, missing, self.cfg, self.polygon_cfg)
        else:
            gpus, cores = (1.0, 1.0) if pick_device(self.device).type == "cuda" else (0.0, 2.0)
            address = None if ray is True or ray == "local" else ray
            outcomes = predict_on_ray(self.load, missing, self.cfg, self.polygon_cfg, address, workers, gpus, cores)
        failed = 0
        for number, outcome in enumerate(outcomes, 1):
            failed += bool(outcome.error)
            share = f"{outcome.changed / outcome.pixels:.2%} changed, {outcome.seconds:.0f} s" if outcome.pixels else "no data"
            text = f"failed: {outcome.error}" if outcome.error else share
            print(f"[{number}/{count}] {outcome.output}: {text}", flush=True)
        if failed:
            print(f"{failed} of {count} scenes failed; run the same command again to retry them", file=sys.stderr)
        return 1 if failed else 0

"""`cdzoo predict`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdzoo.cli.prediction import PredictionJob, SceneOptions, as_in_training
from cdzoo.cli.scene_list import predict_list
from cdzoo.constants import DEFAULT_WEIGHTS
from cdzoo.errors import InputError
from cdzoo.io.band_files import is_several, one_raster
from cdzoo.io.files import output_path
from cdzoo.io.images import image_format
from cdzoo.io.inputs import existing_file
from cdzoo.io.objects import is_remote
from cdzoo.io.rasters import open_raster
from cdzoo.io.remote import shown
from cdzoo.scenes.image_cache import CACHE_GB, CacheCfg
from cdzoo.scenes.outputs import RASTERS

if TYPE_CHECKING:
    from cdzoo.scenes.config import PolygonCfg, SceneCfg


def predict(
    before: str | None = None,
    after: str | None = None,
    *,
    output: str | None = None,
    model: str = DEFAULT_WEIGHTS,
    random_weights: bool = False,
    device: str = "auto",
    cfg: SceneCfg,
    polygon_cfg: PolygonCfg,
    probability: str | None = None,
    polygons: str | None = None,
    report: str | None = None,
    footprints: str | None = None,
    footprint_output: str | None = None,
    footprint_layer: str | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    aoi: str | None = None,
    aoi_layer: str | None = None,
    mask_before: str | None = None,
    mask_after: str | None = None,
    series: list[str] | None = None,
    masks: list[str] | None = None,
    dates: list[str] | None = None,
    stac: tuple[str, str] | None = None,
    assets: list[str] | None = None,
    mask_asset: str | None = None,
    resolution: float | None = None,
    manifest: str | None = None,
    cache: str | None = None,
    cache_size: float = CACHE_GB,
    ray: bool | str = False,
    workers: int | None = None,
) -> int:
    """Map the change between two images, or of a list of scenes.

    A .png output writes pictures of the mask, the probability and an overlay. A .tif output writes a georeferenced map, with
    options for windows, polygons and a report. Models of several classes write each of their maps, and to a .png output also a
    figure of all of them with a legend.

    Args:
        before: First date: a picture, a raster, a folder of bands, or an address of a GeoTIFF (https://, http://, s3://).
        after: Second date, on any grid.
        output: Map to write: .png or .tif.
        model: Folder of a run, tag (MODEL.TAG), model with published weights, hf-hub:owner/name, or file of cdzoo export (.onnx).
        random_weights: Use an untrained model, to try a pipeline.
        device: auto, cpu, cuda or mps.
        cfg: Prediction.
        polygon_cfg: Polygons.
        probability: GeoTIFF of the probability, one band per class.
        polygons: Changed areas: .gpkg, .geojson or .parquet.
        report: HTML page of both dates and largest changes.
        footprints: Polygons to add statistics of the map to, such as buildings: .gpkg, .geojson, .shp or .parquet.
        footprint_output: Table of these: .gpkg, .geojson, .parquet or .csv; OUTPUT_footprints.gpkg by default.
        footprint_layer: Layer of the footprints in a .gpkg with several.
        bbox: Left, bottom, right and top of the part to map, in the coordinates of the first image, or in longitude and latitude.
        aoi: Polygons of the area to map: .gpkg, .geojson, .shp or .parquet.
        aoi_layer: Layer of the area in a .gpkg with several.
        mask_before: Raster of where the first date has no data, such as clouds or the SCL of Sentinel-2, see --mask-values.
        mask_after: That of the second date.
        series: Rasters, or addresses, in the order of their dates, to map which changes last, and since when.
        masks: Cloud mask of each image of a series, - for none.
        dates: Date of each image of a series, as text; by default as in its tags or its name.
        stac: Items of the two dates: files or http(s) addresses; instead of BEFORE and AFTER, with --assets and --bbox or --aoi.
        assets: Assets of the items to read as bands, in this order, such as B04 B03 B02.
        mask_asset: Asset of the items that says where there are no data, such as scl, see --mask-values.
        resolution: Size of the pixels of the map of STAC items, in units of the coordinates; by default that of the first asset.
        manifest: CSV file of scenes: columns before, after, output, and others such as report.
        cache: Folder for copies of remote images of the manifest; by default one in that of temporary files, on each machine.
        cache_size: Largest size of this folder in GB.
        ray: Predict the scenes of the manifest with Ray: address of a cluster; without an address, Ray is started locally.
        workers: Number of Ray workers; one per GPU, or per two cores, by default.
    """
    products: dict[str, str | None] = {"probability": probability, "polygons": polygons, "report": report}
    zones = {"footprints": footprints, "footprint_output": footprint_output, "footprint_layer": footprint_layer}
    part: dict[str, Any] = {"bbox": bbox, "aoi": aoi, "aoi_layer": aoi_layer}
    image = series[0] if series else before
    if image is not None and stac is None:
        asked, cfg = cfg, as_in_training(model, cfg, image)
        is_picture = output is not None and Path(output).suffix.lower() not in RASTERS
        if is_picture and (cfg.bands, cfg.bands_after) != (asked.bands, asked.bands_after):
            raise InputError(
                f"-o {output}: {model} was trained on some bands of its images, which only maps of scenes select: name it .tif"
            )
    clouds = {"mask_before": mask_before, "mask_after": mask_after}
    of_scenes = SceneOptions(products, zones, part, clouds)
    job = PredictionJob(model, random_weights, device, cfg, polygon_cfg)
    if manifest is not None:
        mine = {**products, **clouds}
        if before is not None or output is not None or series or stac or footprint_output or any(mine.values()):
            raise InputError("--manifest names the images and outputs: pass no others")
        of_all = {**zones, **part, "bbox": None if bbox is None else " ".join(map(repr, bbox))}
        return predict_list(job, manifest, of_all, CacheCfg(cache, cache_size), ray, workers)
    if cache is not None:
        raise InputError("--cache keeps images for the other scenes of a list: pass --manifest FILE")
    if series is not None:
        if before is not None or stac or ray or any(clouds.values()) or output is None:
            raise InputError("--series names the images: pass -o MAP.tif, and no others; clouds are those of --masks")
        job.predict_series(series, output, {**products, **zones, "dates": dates or (), "masks": masks or ()}, part)
        return 0
    if dates is not None or masks is not None:
        raise InputError(f"--{'masks' if dates is None else 'dates'} are those of the images of a series: pass --series")
    if stac is not None:
        if before is not None or ray or output is None or not assets or any(clouds.values()):
            raise InputError(
                "--stac names the images: pass --assets NAME NAME ..., --bbox or --aoi, -o MAP.tif, and no others; clouds are "
                "those of --mask-asset"
            )
        job.predict_items(stac, assets, output, of_scenes, resolution, mask_asset)
        return 0
    of_items = {"assets": assets, "mask-asset": mask_asset, "resolution": resolution}
    if given := [name for name, value in of_items.items() if value is not None]:
        raise InputError(f"--{given[0]} is for items of a catalog: pass --stac BEFORE AFTER")
    if before is None or after is None or output is None:
        raise InputError("pass two images and an output: cdzoo predict BEFORE AFTER -o MAP; or a list of scenes: --manifest FILE")
    if ray:
        raise InputError("--ray predicts a list of scenes: pass --manifest FILE")
    if (is_several(before) or is_several(after)) and Path(output).suffix.lower() not in RASTERS:
        raise InputError(f"-o {output}: folders of bands are mapped as scenes; name the output .tif")
    with ExitStack() as stack:
        first, second = (date if is_remote(date) else str(stack.enter_context(one_raster(date))) for date in (before, after))
        _predict_pair(job, first, second, output, of_scenes)
    return 0


def _predict_pair(job: PredictionJob, before: str, after: str, output: str, options: SceneOptions) -> None:
    target = output_path(output, suffixes=(".png", *RASTERS), purpose="a mask needs a lossless format")
    is_scene = target.suffix.lower() in RASTERS
    for file in (before, after, *filter(None, options.clouds.values())):  # before the model is loaded, which takes seconds
        if not is_remote(file):
            _check_header(existing_file(file), is_scene)
        elif not is_scene:
            raise InputError(f"{shown(file)}: remote images are mapped as scenes: name the output .tif")
    if is_scene:
        job.predict_scene(before, after, target, options)
    elif given := [name for name, value in {**options.to_dict(), **job.of_scenes()}.items() if value is not None]:
        raise InputError(f"--{given[0].replace('_', '-')} is for maps of scenes: name the output .tif")
    else:
        job.predict_pictures(before, after, target)


def _check_header(file: Path, is_scene: bool) -> None:
    if is_scene:
        with open_raster(file, "predicting scenes"):
            pass
    else:
        image_format(file)

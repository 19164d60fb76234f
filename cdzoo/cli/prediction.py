"""Prediction with the settings of `cdzoo predict`: pairs, catalog items and series, and what is printed."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdzoo.cli.common import load_trained, pick_device, print_weights
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.band_files import is_several, one_raster
from cdzoo.io.files import output_path
from cdzoo.io.inputs import existing_file
from cdzoo.io.objects import is_remote
from cdzoo.io.remote import shown
from cdzoo.scenes.outputs import RASTERS

if TYPE_CHECKING:
    from cdzoo.inference.model import PairModel
    from cdzoo.scenes.area import Area
    from cdzoo.scenes.config import PolygonCfg, SceneCfg
    from cdzoo.tasks import Task

_MAX_CLASSES = 12  # printed


@dataclass(frozen=True)
class SceneOptions:
    """Options of maps of scenes; those that are not given are None.

    Attributes:
        products: `probability`, `polygons` and `report`.
        zones: `footprints`, `footprint_output` and `footprint_layer`.
        part: `bbox`, `aoi` and `aoi_layer`.
        clouds: `mask_before` and `mask_after`.
    """

    products: dict[str, str | None]
    zones: dict[str, str | None]
    part: dict[str, Any]
    clouds: dict[str, str | None]

    def to_dict(self) -> dict[str, Any]:
        """Return all of them by name."""
        return {**self.products, **self.zones, **self.part, **self.clouds}


@dataclass(frozen=True)
class PredictionJob:
    """Model and settings of all pairs."""

    model: str
    random_weights: bool
    device: str
    cfg: SceneCfg
    polygon_cfg: PolygonCfg

    def of_scenes(self) -> dict[str, Any]:
        """Return the settings that pictures do not have."""
        names = (
            "value_range_after",
            "percentiles",
            "percentiles_after",
            "decibels",
            "bands",
            "bands_after",
            "alpha",
            "mask_values",
        )
        reflectance = None if self.cfg.reflectance == "none" else self.cfg.reflectance
        return {**{name: getattr(self.cfg, name) for name in names}, "align": self.cfg.align or None, "reflectance": reflectance}

    def load(self) -> PairModel:
        """Load the model, or open the exported file."""
        from cdzoo.inference.onnx import OnnxModel, is_exported

        if not is_exported(self.model):
            return load_trained(self.model, self.random_weights).to(pick_device(self.device))
        if self.random_weights:
            raise ConfigError(f"--random-weights is for the name of a model; '{self.model}' has its weights")
        return OnnxModel(self.model, self.device)

    def load_named(self) -> PairModel:
        """Load the model and print which weights it has."""
        model = self.load()
        print_weights(model)
        return model

    def predict_scene(self, before: str, after: str, target: Path, options: SceneOptions) -> None:
        """Write the map of two rasters and its further products, and print a summary."""
        from cdzoo.cli.footprints import print_largest
        from cdzoo.scenes import predict_scene
        from cdzoo.scenes.footprints import table_of
        from cdzoo.scenes.outputs import scene_outputs

        files: dict[str, Any] = dict(options.products)
        of_zones: dict[str, Any] = dict(options.zones)
        footprints = options.zones["footprints"]
        table = table_of(target, footprints, options.zones["footprint_output"])
        dates = [date for date in (before, after) if not is_remote(date)]
        inputs = [file for file in (*dates, footprints, options.part["aoi"], *options.clouds.values()) if file is not None]
        scene_outputs(target, **files, inputs=inputs, with_styles=self.cfg.style, footprints=table)  # before the model is loaded
        area = _area(before, **options.part)
        model = self.load_named()
        further: dict[str, Any] = {**files, **of_zones, **options.clouds, "polygon_cfg": self.polygon_cfg, "area": area}
        result = predict_scene(model, before, after, target, self.cfg, **further)
        share = result.changed / result.pixels if result.pixels else 0.0
        resumed = f", {result.resumed} blocks of an interrupted run" if result.resumed else ""
        text = f"{share:.2%} of {result.pixels:,} pixels with data {_changed(model.task)}"
        print(f"{text} ({self.describe(model, result.threshold, result.scale)}); {result.seconds:.0f} s{resumed}")
        for image, reflectance in zip((before, after), result.reflectances, strict=False):
            print(f"  {Path(shown(image)).name}: {reflectance}")
        for text in result.masks:
            print(f"  mask {text}")
        if model.task.has_legend and result.classes:
            shares = sorted(result.classes.items(), key=lambda item: -item[1])[:_MAX_CLASSES]
            print("  " + ", ".join(f"{name} {count / result.pixels:.2%}" for name, count in shares))
        for path in (result.mask, *result.further.values(), result.probability, files["polygons"], files["report"]):
            if path is not None:
                print(f"  {path}{f' ({result.polygons} polygons)' if path == files['polygons'] else ''}")
        if result.styles:
            print(f"  styles for QGIS: {', '.join(path.name for path in result.styles)}")
        if table is not None and result.footprints is not None:
            print_largest(table, result.footprints)

    def predict_items(
        self,
        names: tuple[str, str],
        assets: list[str],
        output: str,
        options: SceneOptions,
        resolution: float | None,
        mask_asset: str | None = None,
    ) -> None:
        """Copy the assets of two STAC items, and write their map as that of two rasters."""
        from cdzoo.io.remote import is_address
        from cdzoo.io.stac import read_item
        from cdzoo.scenes.outputs import scene_outputs
        from cdzoo.scenes.stac import stac_rasters, stated_scaling

        target = output_path(output, suffixes=RASTERS, purpose="the map of STAC items is a GeoTIFF")
        items = [read_item(name, assets) for name in names]
        masks = None if mask_asset is None else (read_item(names[0], [mask_asset]), read_item(names[1], [mask_asset]))
        files: dict[str, Any] = dict(options.products)
        inputs = [Path(name) for name in names if not is_address(name)]
        inputs += [file for item in (*items, *(masks or ())) for file in item.files]
        scene_outputs(target, **files, inputs=inputs)
        for item in items:
            if text := stated_scaling(item):
                print(f"{item.name} states {text}; values are used as they are stored")
        with stac_rasters(items[0], items[1], target, **options.part, resolution=resolution, masks=masks) as copies:
            before, after, *found = map(str, copies)
            clouds = dict(zip(options.clouds, found or (None, None), strict=True))
            job = replace(self, cfg=as_in_training(self.model, self.cfg, before, with_bands=False))  # those are the assets
            job.predict_scene(before, after, target, replace(options, part={**options.part, "bbox": None}, clouds=clouds))

    def predict_series(self, images: list[str], output: str, options: dict[str, Any], part: dict[str, Any]) -> None:
        """Write the maps of a series, and print a summary."""
        from cdzoo.cli.footprints import print_largest
        from cdzoo.scenes.footprints import table_of
        from cdzoo.scenes.outputs import scene_outputs
        from cdzoo.scenes.series import check_series, predict_series
        from cdzoo.scenes.series_products import FURTHER

        local = [image if is_several(image) else existing_file(image) for image in images if not is_remote(image)]
        options["masks"] = [None if mask == "-" else existing_file(mask) for mask in options["masks"]]
        products: dict[str, Any] = {name: options[name] for name in ("probability", "polygons", "report")}
        table = table_of(output, options["footprints"], options["footprint_output"])
        # Before the model is loaded.
        inputs = [file for file in (*local, options["footprints"], part["aoi"], *options["masks"]) if file is not None]
        scene_outputs(output, **products, inputs=inputs, further=FURTHER, with_styles=self.cfg.style, footprints=table)
        if len(local) == len(images):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they come with the prediction
                check_series(local, self.cfg, options["polygons"] is not None, options["dates"], options["masks"])
        with ExitStack() as stack:
            first = images[0] if is_remote(images[0]) else stack.enter_context(one_raster(images[0]))
            options["area"] = _area(first, **part)
        model = self.load_named()

        def announce(number: int, count: int, before: str, after: str) -> None:
            print(f"pair {number} of {count}: {before}, {after}", flush=True)

        result = predict_series(model, images, output, self.cfg, polygon_cfg=self.polygon_cfg, on_pair=announce, **options)
        counts, pixels = result.counts, max(1, sum(result.counts.kinds.values()))
        shares = ", ".join(f"{count / pixels:.2%} {name}" for name, count in counts.kinds.items() if name != "no change")
        how = self.describe(model, result.threshold, result.scale)
        print(f"{shares} of {pixels:,} pixels with data ({how}); {result.seconds:.0f} s")
        for number, count in counts.dates.items():
            note = "; a fault of the first image looks the same" if number == 2 and len(images) > 2 else ""
            print(f"  {count / pixels:.2%} since {result.names[number - 1]}{note}")
        if counts.comparable:
            share = counts.supported / counts.comparable
            print(f"  {share:.0%} of the changes after the second image are also seen between the two images around their date")
        for path in (result.mask, result.first_date, result.last_before, *products.values()):
            if path is not None:
                print(f"  {path}{f' ({result.polygons} polygons)' if path == options['polygons'] else ''}")
        if table is not None:
            print_largest(table, result.footprints)

    def predict_pictures(self, before: str, after: str, target: Path) -> None:
        """Write the main map, the probability and an overlay, and for several classes a figure and further maps: all or none."""
        from cdzoo.inference.change_map import picture_files, write_pictures
        from cdzoo.inference.predict import predict_pair
        from cdzoo.inference.resolve import resolve_threshold
        from cdzoo.inference.sources import ArraySource
        from cdzoo.io.outputs import check_outputs, exclusive
        from cdzoo.scenes.alignment import scene_shift, warn_of_shift
        from cdzoo.scenes.pixel_size import picture_scale
        from cdzoo.tasks import BinaryTask

        def reserve(task: Task) -> dict[str, Path]:
            """Return the file of each picture, checked and locked."""
            found = picture_files(target, task)
            check_outputs({f"the {name} beside -o" if name else "-o": file for name, file in found.items()}, (before, after))
            for file in found.values():
                stack.enter_context(exclusive(file))
            return found

        cfg = self.cfg
        with ExitStack() as stack:
            files = reserve(BinaryTask())  # those of every task, before the model is loaded
            model = self.load()
            if model.task.has_legend:
                files = reserve(model.task)
            threshold, scale = resolve_threshold(model, cfg.threshold), picture_scale(cfg.scale, model, before)
            options: dict[str, Any] = {
                "value_range": cfg.value_range,
                "scale": scale,
                "tile": cfg.tile,
                "overlap": cfg.overlap,
                "batch_size": cfg.batch_size,
            }
            change = predict_pair(model, before, after, threshold=threshold, augment=cfg.augment, **options)
            write_pictures(change.pictures(), files)
        shift = scene_shift(ArraySource(change.before), ArraySource(change.after))
        warn_of_shift(before, after, shift, "a map of a scene corrects it: -o MAP.tif --align")
        print_weights(model)
        height, width = change.mask.shape
        how = self.describe(model, threshold, scale)
        print(f"{change.share:.2%} of {width}x{height} pixels {_changed(model.task)} ({how})")
        print("\n".join(f"  {file}" for file in files.values()))

    def describe(self, model: PairModel, threshold: float, scale: float) -> str:
        """Return the threshold, the size of the windows and the scale as text."""
        from cdzoo.constants import WINDOW_SIDE

        enlarged = "" if scale == 1 else f", scale {scale:g}"
        return f"threshold {threshold:g}, tiles of {self.cfg.tile or model.input_sizes.fixed or WINDOW_SIDE}{enlarged}"


def as_in_training(model: str, cfg: SceneCfg, image: str, with_bands: bool = True) -> SceneCfg:
    """Return settings with the ranges and bands of the run that a model is from, where they have none; say which."""
    from cdzoo.scenes.trained import trained_options, with_trained

    trained = trained_options(model)
    cfg, text = with_trained(cfg, trained if with_bands else replace(trained, bands={}), image)
    if text:
        print(f"as in the training of {model}: {text}")
    return cfg


def _changed(task: Task) -> str:
    main, *_ = task.maps.values()
    return f"have another class than '{main.class_names[0]}'" if task.has_legend else "changed"


def _area(image: str | Path, bbox: tuple[float, ...] | None, aoi: str | None, aoi_layer: str | None) -> Area | None:
    from cdzoo.scenes.area import scene_area

    if aoi_layer is not None and aoi is None:
        raise InputError(f"--aoi-layer {aoi_layer}: a layer of which file? Pass --aoi FILE")
    return None if bbox is None and aoi is None else scene_area(image, bbox, aoi, aoi_layer)

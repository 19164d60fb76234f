"""A user's run on a VRT was killed; he then repaired the raster behind the VRT and ran again. The finished parts of the old
raster were kept: one map of two inputs. Right: the map is that of a run on the new raster, or the run is refused."""

import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

sys.excepthook = lambda *error: (traceback.print_exception(*error), os._exit(2))  # a crash is no verdict

import numpy as np
import rasterio
import rasterio.shutil
import torch
from rasterio.transform import from_origin

import cdzoo
from cdzoo.components import Backbone, PerLevelFusion
from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.fusion import AbsDiff
from cdzoo.heads import Conv
from cdzoo.scenes import SceneCfg


class Pixels(Backbone):
    """The bands as they are."""

    def __init__(self):
        super().__init__(3, [3], [1])

    def forward(self, x):
        return [x]


def detector():
    """Build a model that finds where the mean of the bands differs by a quarter of white."""
    head = Conv([3], [1], 1)
    with torch.no_grad():
        head.classify.weight.fill_(40 / 3)
        head.classify.bias.fill_(-10)
    named = {kind: ComponentCfg(f"instance:{kind}") for kind in ("backbone", "fusion", "head")}
    config = ModelCfg(name="known", **named, in_chans=3, mean=(0.0,), std=(1.0,))
    return cdzoo.ChangeDetector(Pixels(), None, PerLevelFusion([AbsDiff(3)], [1]), None, head, config=config).eval()


class Stopped(Exception):
    """The power went."""


def interrupted(model, calls, *words):
    """Predict a scene until the model has been called so often."""
    left = iter(range(calls))

    def stop(*_):
        if next(left, None) is None:
            raise Stopped

    handle = model.register_forward_pre_hook(stop)
    try:
        cdzoo.predict_scene(model, *words)
    except Stopped:
        pass
    else:
        raise AssertionError("the scene was not interrupted")
    finally:
        handle.remove()


def raster(path, pixels, **profile):
    """Write (H, W, bands) as a GeoTIFF."""
    height, width, count = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype} | profile
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def values(path):
    """Read the first band of a map."""
    with rasterio.open(path) as file:
        return file.read(1)


def case(place):
    dark = np.full((256, 256, 3), 60, np.uint8)
    bright = np.full((256, 256, 3), 200, np.uint8)
    place_of = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 1, 1)}
    raster(place / "a.tif", dark, **place_of)
    raster(place / "source.tif", dark, **place_of)
    rasterio.shutil.copy(place / "source.tif", place / "b.vrt", driver="VRT")
    model, cfg = detector(), SceneCfg(tile=64, overlap=16, progress=False)
    interrupted(model, 7, place / "a.tif", place / "b.vrt", place / "map.tif", cfg)
    raster(place / "source.tif", bright, **place_of)
    try:
        cdzoo.predict_scene(model, place / "a.tif", place / "b.vrt", place / "map.tif", cfg)
    except ValueError as error:
        return None if "b.vrt" in str(error) or "source.tif" in str(error) else f"{error}"
    cdzoo.predict_scene(model, place / "a.tif", place / "b.vrt", place / "fresh.tif", cfg)
    assert (values(place / "fresh.tif") == 1).all()
    same = (values(place / "map.tif") == values(place / "fresh.tif")).mean()
    return None if same == 1 else f"{1 - same:.0%} of the map comes from the raster that was replaced"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        fault = case(Path(folder).resolve())
    print(fault or "right")
    sys.exit(1 if fault else 0)

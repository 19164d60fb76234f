"""A user joined the polygons of many scenes; in the one without any change the columns have other types.
Right: one schema, also when there is no polygon."""

import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

sys.excepthook = lambda *error: (traceback.print_exception(*error), os._exit(2))  # a crash is no verdict

import numpy as np
import pyogrio
import rasterio
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


def raster(path, pixels, **profile):
    """Write (H, W, bands) as a GeoTIFF."""
    height, width, count = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype} | profile
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def case(place):
    dark = np.full((128, 128, 3), 60, np.uint8)
    spot = dark.copy()
    spot[20:40, 20:40] = 200
    place_of = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 1, 1)}
    raster(place / "a.tif", dark, **place_of)
    raster(place / "b.tif", spot, **place_of)
    schemas = {}
    for name, after in (("full", "b.tif"), ("empty", "a.tif")):
        shapes = place / f"{name}.gpkg"
        cfg = SceneCfg(progress=False)
        cdzoo.predict_scene(detector(), place / "a.tif", place / after, place / f"{name}.tif", cfg, polygons=shapes)
        info = pyogrio.read_info(shapes)
        schemas[name] = {**dict(zip(info["fields"], map(str, info["dtypes"]), strict=True)), "geometry": info["geometry_type"]}
    assert len(schemas["full"]) > 2
    return None if schemas["full"] == schemas["empty"] else f"with change {schemas['full']}, without {schemas['empty']}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        fault = case(Path(folder).resolve())
    print(fault or "right")
    sys.exit(1 if fault else 0)

"""A user mapped a ring of change with a smaller change inside and asked for --fill-holes: the filled ring covers the inner
polygon, and the changed ground is counted twice. Right: polygons do not overlap."""

import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

sys.excepthook = lambda *error: (traceback.print_exception(*error), os._exit(2))  # a crash is no verdict

import geopandas
import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin

import cdzoo
from cdzoo.components import Backbone, PerLevelFusion
from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.fusion import AbsDiff
from cdzoo.heads import Conv
from cdzoo.scenes import PolygonCfg, SceneCfg


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
    after = dark.copy()
    after[20:60, 20:60] = 200
    after[25:55, 25:55] = 60
    after[35:45, 35:45] = 200
    place_of = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 1, 1)}
    raster(place / "a.tif", dark, **place_of)
    raster(place / "b.tif", after, **place_of)
    shapes = place / "change.gpkg"
    paths = place / "a.tif", place / "b.tif", place / "map.tif"
    cdzoo.predict_scene(detector(), *paths, SceneCfg(progress=False), polygons=shapes, polygon_cfg=PolygonCfg(fill_holes=2000))
    frame = geopandas.read_file(shapes)
    apart, together = frame.area.sum(), frame.union_all().area
    assert together > 1500, "the hole is not filled"
    return None if apart - together < 1 else f"{len(frame)} polygons of {apart:.0f} m2 cover {together:.0f} m2: they overlap"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        fault = case(Path(folder).resolve())
    print(fault or "right")
    sys.exit(1 if fault else 0)

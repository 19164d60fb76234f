"""Models with known predictions, and rasters with known changes."""

import numpy as np
import pytest
import torch
from known_backbones import Pixels

import cdzoo
from cdzoo.components import PerLevelFusion
from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.fusion import AbsDiff
from cdzoo.heads import Conv

rasterio = pytest.importorskip("rasterio")


@pytest.fixture
def detector():
    """Build a model from a backbone of one level; with `Pixels` it detects where the mean of the bands differs by a quarter."""

    def build(backbone=None):
        backbone = backbone or Pixels()
        (channels,), strides = backbone.out_channels, backbone.out_strides
        head = Conv([channels], strides, 1)
        if isinstance(backbone, Pixels):
            with torch.no_grad():
                head.classify.weight.fill_(40 / channels)
                head.classify.bias.fill_(-10)
        kinds = {kind: ComponentCfg(f"instance:{kind}") for kind in ("backbone", "fusion", "head")}
        bands = backbone.in_chans
        config = ModelCfg(name="known", **kinds, in_chans=bands, mean=(0.0,), std=(1.0,))
        return cdzoo.ChangeDetector(
            backbone, None, PerLevelFusion([AbsDiff(channels)], strides), None, head, config=config
        ).eval()

    return build


@pytest.fixture
def raster(tmp_path):
    """Write an array (H, W, bands) as a GeoTIFF; by default in UTM with pixels of one meter."""

    def write(name, pixels, crs="EPSG:32633", transform=None, nodata=None):
        transform = transform or rasterio.transform.from_origin(500_000, 5_000_000, 1, 1)
        height, width, bands = pixels.shape
        profile = {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": pixels.dtype, "nodata": nodata}
        with rasterio.open(tmp_path / name, "w", crs=crs, transform=transform, **profile) as file:
            file.write(pixels.transpose(2, 0, 1))
        return tmp_path / name

    return write


@pytest.fixture
def interrupted(monkeypatch):
    """Run a function that is interrupted at a call of a model."""

    def run(model, call, function):
        calls, forward = [], model.forward

        def fail(*images):
            calls.append(1)
            if len(calls) == call:
                raise KeyboardInterrupt
            return forward(*images)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(model, "forward", fail)
            function()

    return run


@pytest.fixture
def scene():
    """Return two dates (300, 410, 3) and the mask of their changed rectangle."""
    rng = np.random.default_rng(0)
    before = rng.integers(80, 110, (300, 410, 3), dtype=np.uint8)
    after, truth = before.copy(), np.zeros((300, 410), np.uint8)
    after[100:180, 150:290] += 120
    truth[100:180, 150:290] = 1
    return before, after, truth

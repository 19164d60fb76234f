"""Labels that are polygons or lie on another grid than the images."""

import json

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from PIL import Image

from cdzoo.data.check import check_data
from cdzoo.data.config import DataCfg
from cdzoo.data.open import open_data
from cdzoo.errors import InputError

SIDE = 32


def write_raster(path, pixels, scale=1.0, origin=(500_000.0, 5_000_000.0), crs="EPSG:32633"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    profile = {"driver": "GTiff", "count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2], "crs": crs}
    transform = rasterio.transform.from_origin(*origin, scale, scale)
    with rasterio.open(path, "w", dtype=pixels.dtype, transform=transform, **profile) as file:
        file.write(pixels)
    return transform


def write_placed(root, count=2):
    """Write GeoTIFF pairs side by side; return the transform of each."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        for date in "AB":
            pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            found.append(write_raster(root / date / f"t{index}.tif", pixels, origin=(500_000.0 + index * SIDE, 5_000_000.0)))
    return found[::2]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
def test_polygons_are_rasterized_by_pixel_centers(tmp_path, suffix):
    """One file for all pairs, in degrees, compared with a count of the centers in the polygons by shapely."""
    geopandas = pytest.importorskip("geopandas")
    transforms = write_placed(tmp_path)
    box = shapely.Polygon(
        [(500_003.2, 4_999_995.7), (500_020.4, 4_999_990.1), (500_045.6, 4_999_975.3), (500_001.1, 4_999_972.2)]
    )
    hole = shapely.Point(500_015, 4_999_982).buffer(3.3)
    shape = box.difference(hole)
    frame = geopandas.GeoDataFrame({"kind": [1]}, geometry=[shape], crs="EPSG:32633").to_crs("EPSG:4326")
    frame.to_file(tmp_path / f"changes{suffix}")
    cfg = DataCfg(before=f"{tmp_path}/A/*.tif", after=f"{tmp_path}/B/*.tif", mask=f"{tmp_path}/changes{suffix}")
    samples = open_data(cfg, ("all",)).splits["all"]
    for sample, transform in zip(samples, transforms, strict=True):
        rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
        x, y = transform.c + columns * transform.a, transform.f + rows * transform.e
        expected = shapely.contains_xy(shape, x, y)
        different = (sample.target["mask"].numpy() == 1) != expected
        assert expected.any() and different.sum() <= 2  # centers on an edge, which moved by degrees with nine decimals
    report = check_data(cfg, progress=False)
    assert not report.problems and "labels of 2 pair(s) are brought to the grid" in " ".join(report.notes)
    assert report.splits[0].changed == pytest.approx(np.mean([s.target["mask"].numpy() for s in samples]))


def test_attributes_of_polygons_are_values_or_classes(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    write_placed(tmp_path, 1)
    boxes = [shapely.box(500_000 + 8 * index, 4_999_980, 500_008 + 8 * index, 5_000_000) for index in range(3)]
    (tmp_path / "label").mkdir()
    file = tmp_path / "label" / "t0.gpkg"
    frame = geopandas.GeoDataFrame({"v": [0, 1, 255], "w": ["road", "House", "ignore"]}, geometry=boxes, crs="EPSG:32633")
    frame.to_file(file)
    cfg = {"data": str(tmp_path), "label_attribute": "v", "mask_encoding": "0/1/255"}
    found = open_data(DataCfg(**cfg), ("all",)).splits["all"][0].target["mask"].numpy()
    assert [np.unique(found[:20, 8 * column : 8 * column + 8]).tolist() for column in range(4)] == [[0], [1], [255], [0]]
    assert (found[20:] == 0).all()
    with pytest.raises(InputError, match="no attribute 'x'; they have fid, v, w"):
        open_data(DataCfg(**{**cfg, "label_attribute": "x"}), ("all",))
    with pytest.raises(InputError, match="the attribute 'w' has the value 'road'; expected integers"):
        open_data(DataCfg(**{**cfg, "label_attribute": "w"}), ("all",))
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps({"classes": {"road": 3, "house": 7, "ignore": 9}}))
    with pytest.raises(InputError, match="--label-attribute NAME"):
        open_data(DataCfg(str(tmp_path)), ("all",))
    found = open_data(DataCfg(str(tmp_path), label_attribute="w"), ("all",)).splits["all"][0].target["mask"].numpy()
    assert [np.unique(found[:20, 8 * column : 8 * column + 8]).tolist() for column in range(4)] == [[1], [2], [255], [0]]


def test_labels_of_another_resolution_are_read_by_nearest_neighbor(tmp_path):
    """A label of 2.5 m that covers a part of the image; pixels outside have no label."""
    write_placed(tmp_path, 1)
    labels = np.random.default_rng(1).integers(0, 2, (10, 9), dtype=np.uint8) * 255
    write_raster(tmp_path / "label" / "t0.tif", labels, 2.5, (500_004.0, 4_999_998.0))
    found = open_data(DataCfg(str(tmp_path)), ("all",)).splits["all"]
    target = found[0].target["mask"].numpy()
    for row in range(SIDE):
        for column in range(SIDE):
            i, j = int((row + 0.5 - 2) // 2.5), int((column + 0.5 - 4) // 2.5)
            expected = labels[i, j] // 255 if 0 <= i < 10 and 0 <= j < 9 else 255
            assert target[row, column] == expected
    assert found.unlabeled == pytest.approx((target == 255).mean())
    write_raster(tmp_path / "label" / "t0.tif", labels, 2.5, (600_000.0, 4_999_998.0))
    with pytest.raises(InputError, match="does not overlap"):
        open_data(DataCfg(str(tmp_path)), ("all",))
    write_raster(tmp_path / "label" / "t0.tif", np.zeros((SIDE, SIDE), np.uint8), 1, (500_003.0, 5_000_000.0))
    with pytest.raises(InputError, match=r"lies \+3.0 columns"):
        open_data(DataCfg(str(tmp_path)), ("all",))


def test_polygons_need_a_georeference(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    for name in ("pre", "post"):
        (tmp_path / "x").mkdir(exist_ok=True)
        Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "x" / f"a_{name}.png")
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)], crs="EPSG:4326").to_file(tmp_path / "c.gpkg")
    cfg = DataCfg(before=f"{tmp_path}/x/*_pre.png", after=f"{tmp_path}/x/*_post.png", mask=f"{tmp_path}/c.gpkg")
    with pytest.raises(InputError, match="has no georeference, so labels of another size and polygons"):
        open_data(cfg, ("all",))

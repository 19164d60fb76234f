"""Made scenes with polygons of changes, as files."""

import geopandas
import numpy as np
import rasterio
import shapely

LEFT, TOP = 500_000.0, 5_000_000.0
HEIGHT, WIDTH = 200, 230
SPLITS = ("train", "val", "test")


def write(path, pixels, scale=1.0, origin=(LEFT, TOP), crs="EPSG:32633", **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    profile = {"driver": "GTiff", "count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2], "crs": crs, **more}
    transform = rasterio.transform.from_origin(*origin, scale, scale)
    with rasterio.open(path, "w", dtype=pixels.dtype, transform=transform, **profile) as file:
        file.write(pixels)
    return str(path)


def noise(height=HEIGHT, width=WIDTH, bands=3, seed=0, low=1, high=255):
    return np.random.default_rng(seed).integers(low, high, (height, width, bands), dtype=np.uint8)


def houses(count=40, height=HEIGHT, width=WIDTH, seed=1):
    """Return boxes in coordinates, whose edges lie between pixel centers."""
    rng = np.random.default_rng(seed)
    corners = np.column_stack([rng.integers(0, width - 12, count), rng.integers(0, height - 12, count)])
    return [shapely.box(LEFT + x, TOP - y - 12, LEFT + x + 12, TOP - y) for x, y in corners.tolist()]


def write_polygons(path, shapes, crs="EPSG:32633", **columns):
    geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32633").to_crs(crs).to_file(path)
    return str(path)


def write_scene(root, name="", **more):
    """Write two rasters on one grid and polygons; return the options that name them."""
    return {
        "before": write(root / f"before{name}.tif", noise(seed=2), **more),
        "after": write(root / f"after{name}.tif", noise(seed=3), **more),
        "mask": write_polygons(root / f"changes{name}.gpkg", houses()),
    }


def ground(samples, around=False):
    """Return the rectangle of each window on the ground, of pixels in the scene."""
    found = []
    for index, cell in samples.cells:
        grid, area = samples.scenes[index].grid, cell.around if around else cell.window
        rows = np.clip([area.y, area.y + area.height], 0, grid.height)
        columns = np.clip([area.x, area.x + area.width], 0, grid.width)
        corners = grid.coordinates(np.column_stack([columns, rows]).astype(float))
        found.append(shapely.box(*corners.min(0), *corners.max(0)))
    return np.array(found)


def table(root, rows, split=None):
    lines = ["before,after,mask,split" if split else "before,after,mask"]
    for index, row in enumerate(rows):
        paths = [str(row[name]).removeprefix(f"{root}/") for name in ("before", "after", "mask")]
        lines.append(",".join([*paths, *([split[index]] if split else [])]))
    file = root / f"pairs_{len(list(root.glob('pairs_*')))}.csv"
    file.write_text("\n".join(lines))
    return str(file)

"""Measure statistics per polygon: ``python benchmarks/footprints.py --out benchmarks/results/footprints_cpu.json``.

Writes a change map of 4,000 x 4,000 pixels of 0.5 m and 10,000 rotated boxes of 6 to 20 m, many of which overlap, and measures
the CPU time of `cdzoo.scenes.footprint_table` and of rasterstats on the same polygons, both with counts of each value;
exactextract, which weights pixels by the share that a polygon covers, is measured as well if it is installed. ``--quick`` takes
seconds and checks the script.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from rasterio.transform import from_origin

from cdzoo.io.files import write_json
from cdzoo.results import Environment
from cdzoo.scenes import footprint_table

PIXEL = 0.5  # meters
ORIGIN = (500_000, 5_000_000)


def write_map(path: Path, side: int) -> None:
    """Write a change map with squares of changed pixels, and a strip without data."""
    rng = np.random.default_rng(0)
    values = np.kron(rng.random((side // 20, side // 20)) < 0.1, np.ones((20, 20))).astype(np.uint8)
    values[:, : side // 50] = 255
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 1, "dtype": "uint8", "nodata": 255, "crs": "EPSG:32633"}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with rasterio.open(path, "w", transform=from_origin(*ORIGIN, PIXEL, PIXEL), **profile) as file:
        file.write(values, 1)


def make_boxes(count: int, side: int) -> geopandas.GeoDataFrame:
    """Return rotated boxes at random places of the map."""
    rng = np.random.default_rng(1)
    center = rng.uniform(0, side * PIXEL, (count, 2))
    size, angle = rng.uniform(3, 10, (count, 2)), rng.uniform(0, np.pi, count)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size[:, None]
    turn = np.stack([np.stack([np.cos(angle), -np.sin(angle)], -1), np.stack([np.sin(angle), np.cos(angle)], -1)], 1)
    outlines = center[:, None] + corners @ turn.transpose(0, 2, 1)
    outlines = np.stack([ORIGIN[0] + outlines[..., 0], ORIGIN[1] - outlines[..., 1]], -1)
    return geopandas.GeoDataFrame({"id": np.arange(count)}, geometry=shapely.polygons(outlines), crs="EPSG:32633")


def cpu_seconds(function: Callable[[], object], rounds: int) -> tuple[float, object]:
    """Return the smallest CPU time of several runs, and the last result."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return min(times), result


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4000)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    side, count, rounds = (400, 100, 1) if chosen.quick else (chosen.side, chosen.count, chosen.rounds)
    os.environ["GDAL_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        path, polygons = Path(folder) / "map.tif", Path(folder) / "boxes.gpkg"
        write_map(path, side)
        boxes = make_boxes(count, side)
        boxes.to_file(polygons)
        seconds = {}
        seconds["cdzoo"], table = cpu_seconds(lambda: footprint_table(polygons, path), rounds)
        changed = table["cd_changed"].to_numpy()
        import rasterstats

        seconds["rasterstats"], found = cpu_seconds(
            lambda: rasterstats.zonal_stats(str(polygons), str(path), categorical=True, nodata=255), 1
        )
        expected = np.array([one.get(1, 0) for one in found])
        try:
            import exactextract

            seconds["exactextract"], _ = cpu_seconds(
                lambda: exactextract.exact_extract(str(path), boxes, ["count", "mean"], output="pandas"), rounds
            )
        except ImportError:
            pass
    result = {
        "polygons": count,
        "side": side,
        "cpu_seconds": {name: round(value, 3) for name, value in seconds.items()},
        "ratio_to_cdzoo": {name: round(value / seconds["cdzoo"], 2) for name, value in seconds.items()},
        "polygons_that_differ_from_rasterstats": int((changed != expected).sum()),
    }
    print("; ".join(f"{name} {value:.2f} s" for name, value in seconds.items()), f"of CPU for {count:,} polygons")
    print(f"{result['polygons_that_differ_from_rasterstats']} polygons differ from rasterstats")
    if chosen.out is not None:
        write_json(chosen.out, {"environment": dataclasses.asdict(Environment.current()), **result})


if __name__ == "__main__":
    main()

"""Measure memory and throughput of scene prediction: ``python benchmarks/scene.py --out benchmarks/results/scene_cpu.json``.

Writes a pair of tiled GeoTIFFs per side (10,000 and 20,000 pixels by default) and predicts each in two new processes: one
measures pixels per second, compared with the model alone on as many windows, the other the peak memory beyond that of the model
alone. In the second process the allocator returns memory immediately, because the amount it would keep differs by a hundred MB
between runs. The model is small enough for a CPU. ``--quick`` takes seconds and checks the script.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window

import cdzoo
from cdzoo.inference.blocks import WindowGrid
from cdzoo.inference.tta import probability
from cdzoo.io.files import write_json
from cdzoo.results import Environment
from cdzoo.scenes import SceneCfg, predict_scene

BLOCK = 512
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 20)}  # of glibc
LIGHT = {"backbone": ("unet", {"channels": [8, 16], "depths": [1, 1], "dropout": 0.0}), "neck": None, "decoder": None}


def light_model() -> cdzoo.ChangeDetector:
    """Return a detector of a few convolutions with weights that detect bright squares."""
    torch.manual_seed(0)
    return cdzoo.create_model("glmamba_tiny", fusion="abs_diff", head_kwargs={"channels": 8}, **LIGHT).eval()


def write_scene(path: Path, side: int, changed: bool) -> None:
    """Write a scene of texture block by block; the second date has a bright square in every fourth block."""
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "lzw", "BIGTIFF": "IF_SAFER"}
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(60, 160, (3, BLOCK // 8, BLOCK // 8), dtype=np.uint8), np.ones((1, 8, 8), np.uint8))
    with rasterio.open(path, "w", transform=from_origin(500_000, 5_000_000, 0.5, 0.5), **profile) as file:
        for number, (y, x) in enumerate((y, x) for y in range(0, side, BLOCK) for x in range(0, side, BLOCK)):
            block = np.roll(texture, number * 37 % BLOCK, axis=2)
            if changed and number % 4 == 0:
                block[:, 100:180, 200:330] = 235
            high, wide = min(BLOCK, side - y), min(BLOCK, side - x)
            file.write(block[:, :high, :wide], window=Window(x, y, wide, high))


def run_one(folder: Path, side: int, cfg: SceneCfg) -> dict:
    """Predict one pair, and as many windows with the model alone; return the measurements."""
    model = light_model()
    grid = WindowGrid(model, side, side, cfg.tile, cfg.overlap, cfg.batch_size)
    tiles = len(grid.rows) * len(grid.columns)
    rounds = max(2, min(60, tiles // cfg.batch_size))
    images = torch.randint(0, 255, (2, cfg.batch_size, 3, cfg.tile, cfg.tile), dtype=torch.uint8)
    bare = bare_seconds(model, images, rounds)
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = predict_scene(model, folder / f"a_{side}.tif", folder / f"b_{side}.tif", folder / f"map_{side}.tif", cfg)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bare = (bare + bare_seconds(model, images, rounds)) / 2
    return {
        "side": side,
        "tiles": tiles,
        "seconds": result.seconds,
        "pixels_per_s": side * side / result.seconds,
        "bare_model_seconds": bare * tiles / cfg.batch_size,
        "share_of_bare_model": bare * tiles / cfg.batch_size / result.seconds,
        "model_mb": baseline / 1024,
        "peak_mb_beyond_model": (peak - baseline) / 1024,
        "changed": result.changed,
    }


def bare_seconds(model: cdzoo.ChangeDetector, images: torch.Tensor, rounds: int) -> float:
    """Return the median time of a batch."""
    times = []
    with torch.inference_mode():
        for _ in range(2):
            probability(model, images[0], images[1])
        for _ in range(rounds):
            start = time.perf_counter()
            probability(model, images[0], images[1])
            times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[10_000, 20_000])
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="folder to write the scenes to and keep them; a temporary folder by default")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    cfg = SceneCfg(tile=256 if chosen.quick else chosen.tile, batch_size=chosen.batch_size, progress=False)
    if chosen.one is not None:
        print(json.dumps(run_one(chosen.folder, chosen.one, cfg)))
        return
    sides = [700, 1100] if chosen.quick else chosen.sides
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for side in sides:
            for name in ("a", "b"):
                if not (folder / f"{name}_{side}.tif").is_file():
                    write_scene(folder / f"{name}_{side}.tif", side, name == "b")
            words = [sys.executable, __file__, "--one", str(side), "--folder", str(folder), "--tile", str(cfg.tile)]
            words += ["--batch-size", str(cfg.batch_size)]
            one, frugal = (
                json.loads(subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
                for env in (None, {**os.environ, **GIVE_BACK})
            )
            one |= {name: frugal[name] for name in ("model_mb", "peak_mb_beyond_model")}
            results.append(one)
            print(
                f"{side} x {side}: {one['seconds']:.0f} s, {one['pixels_per_s'] / 1e6:.2f} Mpx/s, "
                f"{one['share_of_bare_model']:.0%} of the bare model, {one['peak_mb_beyond_model']:.0f} MB beyond the model",
                flush=True,
            )
    least, most = (max(1.0, results[i]["peak_mb_beyond_model"]) for i in (0, -1))  # a scene of one batch needs no extra memory
    print(f"peak memory beyond the model, largest to smallest scene: {most / least:.2f}")
    if chosen.out is not None:
        write_json(
            chosen.out,
            {
                "environment": dataclasses.asdict(Environment.current()),
                "tile": cfg.tile,
                "overlap": cfg.overlap,
                "results": results,
            },
        )


if __name__ == "__main__":
    main()

"""Files that the commands of the documents take for granted: small, generated, and written if a page names them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hub_server import Hub, Repo
from made_data import write_second
from PIL import Image

import cdzoo
from cdzoo.convert import to_official
from cdzoo.models.vmamba_keys import vmamba_key

BEFORE = {
    "docs/training.md": """
cdzoo eval --model glmamba_tiny.synthetic --data FOLDER --out other.json
cdzoo train --init glmamba_tiny.synthetic --data FOLDER --out runs/seeds --seeds '[0, 1]'
""",
}
"""Commands whose results the commands of a page take for granted."""
TINY = {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}


def scene(date: int, size: int = 64) -> np.ndarray:
    """Return a noisy gray image (size, size, 3) of uint8, at the second date with a bright square."""
    pixels = np.random.default_rng(0).integers(60, 120, (size, size, 3), dtype=np.uint8)
    if date:
        pixels[8 : size // 2, 8 : size // 2] = 200
    return pixels


def write_pairs(folder: Path, count: int = 10, size: int = 32) -> None:
    """Write pairs of images with masks; no two pairs are equal."""
    mask = (scene(1, size) != scene(0, size)).any(-1) * np.uint8(255)
    for index in range(count):
        for name, pixels in (("A", scene(0, size)), ("B", scene(1, size)), ("label", mask)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels if name == "label" else pixels + np.uint8(index)).save(folder / name / f"pair_{index}.png")


def write_raster(path: Path, pixels: np.ndarray) -> None:
    """Write an image (H, W, bands) as a GeoTIFF in UTM with pixels of one meter."""
    import rasterio

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, bands = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": pixels.dtype, "crs": "EPSG:32633"}
    with rasterio.open(path, "w", **profile, transform=rasterio.transform.from_origin(500_000, 5_000_000, 1, 1)) as file:
        file.write(pixels.transpose(2, 0, 1))


def write_radar(folder: Path) -> None:
    """Write pairs of an optical image and one band of radar intensities."""
    write_pairs(folder)
    for file in [*(folder / "B").iterdir()]:
        intensity = np.asarray(Image.open(file), np.float32)[..., :1] / 255
        file.unlink()
        write_raster(file.with_suffix(".tif"), intensity)
    for name in ("A", "label"):
        for file in [*(folder / name).iterdir()]:
            pixels = np.asarray(Image.open(file))
            file.unlink()
            write_raster(file.with_suffix(".tif"), pixels if pixels.ndim == 3 else pixels[..., None])


def write_sentinel(path: Path) -> None:
    """Write bands of Sentinel-2 with a dark river, and an offset in 2024: one file, or a folder of files of two resolutions."""
    import rasterio

    date = int("2024" in str(path))
    pixels = scene(date, 96).astype(np.uint16) * 20
    pixels[40:50] = 100
    bands = {
        name: pixels[..., :1] + np.uint16(1000 * date + 50 * number) for number, name in enumerate(("B02", "B03", "B04", "B11"))
    }
    if path.suffix:
        write_raster(path, np.concatenate([*bands.values()], -1))
        with rasterio.open(path, "r+") as file:
            file.descriptions = [*bands]
        return
    for name, band in bands.items():
        write_raster(path / f"{name}.tif", band)
    coarse = path / "B11.tif"
    with rasterio.open(path / "B02.tif") as file:
        at = file.transform
    coarse.unlink()
    profile = {"driver": "GTiff", "height": 48, "width": 48, "count": 1, "dtype": "uint16", "crs": "EPSG:32633"}
    with rasterio.open(coarse, "w", **profile, transform=at @ at.scale(2)) as file:
        file.write(bands["B11"][::2, ::2, 0], 1)


BUILT = [(8, 8, 48, 48), (300, 40, 380, 140), (60, 300, 120, 380), (520, 100, 590, 170), (100, 530, 160, 590)]
"""Left, top, right and bottom of what is built in the scenes."""


def write_scene(path: Path) -> None:
    """Write a raster of 600 pixels; not in 2018, bright rectangles are built."""
    pixels = np.random.default_rng(sum(path.name.encode())).integers(60, 120, (600, 600, 3), dtype=np.uint8)
    for left, top, right, bottom in BUILT if "2018" not in path.name else ():
        pixels[top:bottom, left:right] = 200
    write_raster(path, pixels)


def write_polygons(path: Path) -> None:
    """Write what is built in the scenes, or the left part of them as an area of interest."""
    import geopandas
    import shapely

    boxes = BUILT if path.stem == "changes" else [(0, 0, 400, 600)]
    shapes = [
        shapely.box(500_000 + left, 5_000_000 - bottom, 500_000 + right, 5_000_000 - top) for left, top, right, bottom in boxes
    ]
    geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32633").to_file(path)


def write_table(path: Path) -> None:
    """Write a table of two pairs of scenes, which share their labels."""
    lines = ["before,after,mask"]
    for town in "ab":
        names = [f"{town}_2018.tif", f"{town}_2021.tif"]
        for name in names:
            write_scene(path.with_name(name))
        lines.append(",".join([*names, "changes.gpkg"]))
    path.write_text("\n".join(lines))


def write_matlab(path: Path) -> None:
    """Write two images of 12 bands and a mask as arrays of a MATLAB file, or as a folder of files."""
    from scipy.io import savemat

    first, second = (np.repeat(scene(date, 128), 4, axis=2).astype(np.uint16) * 20 for date in (0, 1))
    changed = (first != second).any(-1)
    if path.suffix:
        savemat(path, {"T1": first, "T2": second, "Binary": changed})
        return
    path.mkdir()
    for name, array in (("2013", first), ("2014", second), ("gtChanges", np.where(changed, 1.0, 2.0))):
        savemat(path / f"barbara_{name}.mat", {"HypeRvieW": array})


def save_image(date: int) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(scene(date)).save(path)


def save_tiny(path: Path) -> None:
    """Write the folder of an untrained model."""
    cdzoo.create_model("glmamba_tiny", backbone_kwargs=TINY).save_pretrained(path)


def save_encoder(name: str) -> Callable[[Path], None]:
    """Return a function that writes the weights of a timm encoder with its classifier."""

    def write(path: Path) -> None:
        import timm

        torch.save(timm.create_model(name).state_dict(), path)

    return write


def save_vmamba(path: Path) -> None:
    """Write ImageNet weights of VMamba in the names of its authors."""
    from cdzoo.registry import BACKBONES

    state = BACKBONES.get("vmamba_tiny")().state_dict()
    torch.save({vmamba_key(key): value for key, value in state.items() if not key.startswith("norms.")}, path)


def save_resnet(path: Path) -> None:
    """Write resnet18.safetensors as `cdzoo convert --backbone` does."""
    from cdzoo.cli.main import main

    save_encoder("resnet18")(path.with_suffix(".pth"))
    assert main(["convert", "--backbone", "timm/resnet18", str(path.with_suffix(".pth")), str(path)]) == 0


MADE: dict[str, Callable[[Path], None]] = {
    r"--root FOLDER": lambda path: write_second(path, "original"),
    r"FOLDER": write_pairs,
    r"RADAR": write_radar,
    r"pairs(?=[\s\S]*'41,50p')": lambda path: write_pairs(path, 50),  # the page that lists fifty
    r"pairs": write_pairs,
    r"before\.png": save_image(0),
    r"after\.png": save_image(1),
    r"20(19|20|21|22)(/\w+)?\.tif": lambda path: write_raster(path, scene(0, 96)),
    r"20(23|24|25)(/\w+)?\.tif": lambda path: write_raster(path, scene(1, 96)),
    r"town_20(18|21)\.tif": write_scene,
    r"(changes|area)\.gpkg": write_polygons,
    r"towns\.csv": write_table,
    r"hermiston\.mat": write_matlab,
    r"santa_barbara": write_matlab,
    r"checkpoint\.pt": lambda path: torch.save(to_official("bit", cdzoo.create_model("bit").state_dict()), path),
    r"vssm_tiny\.pth": save_vmamba,
    r"efficientnet-lite0\.pth": save_encoder("tf_efficientnet_lite0"),
    r"resnet18\.safetensors": save_resnet,
    r"runs/\w+": save_tiny,
}
"""For each kind of names in a page: a function that writes such a file or folder."""


def prepare(text: str, folder: Path, hub: Hub) -> None:
    """Write what the blocks of a page name and no command of it writes."""
    for pattern, write in MADE.items():
        for match in re.finditer(rf"(?<![\w./]){pattern}(?![\w.])", text):
            name = match[0].rpartition(" ")[2]
            if not re.search(rf"(--out|-o|data make) {re.escape(name)}(?![\w.])", text) and not (folder / name).exists():
                write(folder / name)
    for encoder in {*re.findall(r"timm/(\w+)\"?[^\n]*backbone[-_]pretrained", text)}:
        publish(hub, encoder)
    if "owner/name" in text:
        published = cdzoo.create_model("glmamba_tiny", backbone_kwargs=TINY).save_pretrained(folder / ".published")
        files = {file.name: file.read_bytes() for file in Path(published).iterdir()}
        hub.repos["owner/name"] = Repo()
        for branch in ("main", "COMMIT"):
            hub.repos["owner/name"].commit(files, branch)


def publish(hub: Hub, encoder: str) -> None:
    """Put weights of a timm encoder on the local Hub, where timm looks for them."""
    import timm
    from safetensors.torch import save

    model = timm.create_model(encoder)
    name = model.pretrained_cfg["hf_hub_id"]
    plain = io.BytesIO()
    torch.save(model.state_dict(), plain)
    hub.repos[name] = Repo()
    hub.repos[name].commit({"model.safetensors": save(model.state_dict()), "pytorch_model.bin": plain.getvalue()})

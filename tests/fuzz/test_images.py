"""Damaged PNG, JPEG, TIFF and VRT files through everything that reads images: a result, or an error that names the file."""

import re
import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from cdzoo.data.check import check_data
from cdzoo.data.palette import Palette
from cdzoo.errors import InputError
from cdzoo.io.images import image_format, read_gray, read_image_and_valid

rasterio = pytest.importorskip("rasterio")
from cdzoo.io.georeference import georeference_mismatch  # noqa: E402
from cdzoo.io.values import values_mismatch  # noqa: E402
from cdzoo.scenes.config import SceneCfg  # noqa: E402
from cdzoo.scenes.dates import opened_dates  # noqa: E402
from cdzoo.tiling import Window  # noqa: E402

SIDE = 48
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif"}
PLAIN = {"driver": "GTiff", "height": SIDE, "width": SIDE, "crs": "EPSG:32633"}
TIFFS = (
    {"count": 3, "dtype": "uint8"},
    {"count": 3, "dtype": "uint8", "compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16},
    {"count": 4, "dtype": "uint16", "compress": "lzw", "predictor": 2, "nodata": 0},
    {"count": 2, "dtype": "float32", "interleave": "band", "BIGTIFF": "YES"},
    {"count": 3, "dtype": "uint8", "compress": "jpeg", "photometric": "ycbcr"},
)
VALUES = (
    b"",
    b"0",
    b"-1",
    b"2147483647",
    b"1e300",
    b"nan",
    b"&lt;",
    b"/etc/passwd",
    b"http://localhost:9/",
    b"a.vrt",
    b"../../a.tif",
)


def picture(rng, folder):
    """Write an image of some format and depth; return its path and its bands."""
    kind = str(rng.choice([*SUFFIXES, "GTiff", "GTiff", "VRT"]))
    if kind in SUFFIXES:
        modes = ["RGB", "L"] if kind in ("JPEG", "WEBP", "BMP") else ["RGB", "L", "RGBA", "P", "1", "I;16", "LA"]
        mode = str(rng.choice([mode for mode in modes if not (kind == "WEBP" and mode == "L")]))
        image = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
        image = Image.fromarray(rng.integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)) if mode == "I;16" else image.convert(mode)
        path = folder / f"a{SUFFIXES[kind]}"
        image.save(path)
        return path
    profile = PLAIN | TIFFS[rng.integers(len(TIFFS))]
    transform = rasterio.Affine(*rng.choice([1.0, -1.0, 0.0, 500_000.0], 6)) if rng.integers(2) else rasterio.Affine.identity()
    with rasterio.open(folder / "a.tif", "w", **profile, transform=transform) as file:
        file.write(rng.integers(0, 255, (profile["count"], SIDE, SIDE)).astype(profile["dtype"]))
    if kind == "GTiff":
        return folder / "a.tif"
    (folder / "a.tif").rename(folder / "source.tif")
    with rasterio.open(folder / "source.tif") as file:
        rasterio.shutil.copy(file, folder / "a.vrt", driver="VRT")
    return folder / "a.vrt"


def damage(rng, path):
    """Change a file as broken copies and hostile senders do."""
    data = bytearray(path.read_bytes())
    way = rng.integers(6)
    if way == 0:
        data = data[: rng.integers(len(data))]
    elif way == 1:  # bytes, most of them in the header
        for _ in range(rng.integers(1, 20)):
            data[min(int(rng.exponential(100)), len(data) - 1)] = rng.integers(256)
    elif way == 2:
        start = int(rng.integers(len(data)))
        data[start : start + int(rng.integers(1, 500))] = rng.bytes(int(rng.integers(500)))
    elif way == 3 and data[:2] == b"II":  # a tag of the directory
        offset = struct.unpack_from("<I" if data[2] == 42 else "<Q", data, 4 if data[2] == 42 else 8)[0]
        for _ in range(rng.integers(1, 4)):
            at = offset + 2 + 12 * int(rng.integers(12)) + int(rng.choice([0, 2, 4, 8]))
            if at + 4 <= len(data):
                struct.pack_into("<I", data, at, int(rng.choice([0, 1, 3, 65535, 2**31 - 1, 2**32 - 1, rng.integers(2**16)])))
    elif way == 4 and data[:1] == b"<":  # a value of the XML
        values = [match.span(1) for match in re.finditer(rb'[">]([^"<>]+)["<]', data)]
        start, stop = values[rng.integers(len(values))]
        data[start:stop] = VALUES[rng.integers(len(VALUES))]
    elif way == 5:
        others = [b"<VRTDataset rasterXSize='9' rasterYSize='9'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"P6 99999 99999 255\n", b""]
        data = bytearray(others[rng.integers(len(others))])
    path.write_bytes(data)
    return path


def read_with_pillow_and_rasterio(rng, folder):
    path = damage(rng, picture(rng, folder))
    outcome = "refused"
    for read in (
        image_format,
        read_gray,
        lambda path: read_image_and_valid(path, 3, (0, 255)),
        lambda path: values_mismatch(path, path),
        Palette("all", {value: value % 200 for value in range(256)}).read,
        Palette("some", {0: 0, 1: 1}, {(0, 0, 0): 0}).read,
    ):
        try:
            read(path)
            outcome = "read"
        except InputError as error:
            assert path.name in str(error)
    try:
        georeference_mismatch(path, path)
    except InputError as error:
        assert path.name in str(error)
    return outcome


def read_as_a_scene(rng, folder):
    path = damage(rng, picture(rng, folder))
    other = path.with_name(f"b{path.suffix}")
    (folder / "other").mkdir()
    other.write_bytes(path.read_bytes() if rng.integers(2) else damage(rng, picture(rng, folder / "other")).read_bytes())
    scale = {} if rng.integers(2) else {"percentiles": (2, 98)} if rng.integers(2) else {"value_range": (0, 255)}
    try:
        with opened_dates(path, other, (None, None), (), SceneCfg(**scale, alpha=True)) as dates:
            for date in dates:
                pixels, valid = date.read(Window(0, 0, min(64, date.height), min(64, date.width)))
                assert pixels.shape[:2] == valid.shape and np.isfinite(pixels[valid]).all()
                date.overview((4, 4))
    except InputError as error:
        assert path.name in str(error) or other.name in str(error)
        return "refused"
    return "read"


def check_a_data_set(rng, folder):
    for name in ("A", "B", "label"):
        (folder / "pairs" / name).mkdir(parents=True)
        for index in range(3):
            path = folder / "pairs" / name / f"p{index}.png"
            Image.fromarray(rng.integers(0, 2, (SIDE, SIDE), dtype=np.uint8) * 255).convert(
                "L" if name == "label" else "RGB"
            ).save(path)
    for name in ("A", "B", "label"):
        if rng.integers(2):
            path = damage(rng, picture(rng, folder))
            target = folder / "pairs" / name / f"p1{path.suffix if path.suffix != '.vrt' else '.tif'}"
            (folder / "pairs" / name / "p1.png").unlink()
            path.rename(target)
    report = check_data(folder / "pairs", progress=False)
    return "problems" if report.problems else "no problem"


@pytest.mark.parametrize(
    ("one_round", "rounds"), [(read_with_pillow_and_rasterio, 150), (read_as_a_scene, 120), (check_a_data_set, 20)]
)
def test_damaged_images(fuzz, one_round, rounds):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcomes = fuzz(one_round, rounds)
    assert len(outcomes) > 1

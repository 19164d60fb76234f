"""Which files are opened as rasters, what they may refer to and declare, and whether two lie at the same place."""

import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cdzoo.errors import InputError
from cdzoo.io.images import image_format, read_gray, read_image
from cdzoo.io.inputs import existing_file

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import Affine, from_origin  # noqa: E402

from cdzoo.io.georeference import georeference_mismatch  # noqa: E402
from cdzoo.io.rasters import open_raster, raster_files, read_deep, read_valid  # noqa: E402
from cdzoo.io.values import values_mismatch  # noqa: E402


def write(path, pixels, driver="GTiff", **profile):
    height, width, count = pixels.shape
    profile = {"driver": driver, "height": height, "width": width, "count": count, "dtype": pixels.dtype} | profile
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)


def opens(path):
    with open_raster(path) as file:
        return file.driver, file.shape


def vrt(source, element="SourceFilename", shape=(40, 48), relative=0):
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><{element} relativeToVRT="{relative}">{source}</{element}>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="{shape[1]}" rasterYSize="{shape[0]}">{bands}</VRTDataset>'


WMS = "<GDAL_WMS><Service name='TMS'><ServerUrl>http://localhost:9/${z}/${x}/${y}.png</ServerUrl></Service></GDAL_WMS>"


@pytest.mark.parametrize("text", [vrt("secret.tif"), WMS, "NETCDF:secret.nc:a", ""], ids=["vrt", "wms", "netcdf", "empty"])
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.img", "a.jp2"])
@pytest.mark.parametrize("read", [opens, read_deep, read_image, read_gray, image_format])
def test_files_of_other_formats_are_not_opened_whatever_their_suffix(tmp_path, pixels, monkeypatch, text, name, read):
    monkeypatch.chdir(tmp_path)
    write("secret.tif", pixels)
    Path(name).write_text(text)
    with pytest.raises(InputError, match=name):
        read(Path(name))


def test_the_message_names_the_formats(tmp_path):
    (tmp_path / "a.tif").write_text(vrt("b.tif"))
    with pytest.raises(InputError, match=r"a\.tif: .*formats that are read: GTiff, PNG, JPEG.*VRT \(suffix \.vrt\)"):
        opens(tmp_path / "a.tif")


@pytest.mark.parametrize("relative", [0, 1])
def test_a_vrt_is_read_with_its_sources(tmp_path, pixels, relative):
    write(tmp_path / "source.tif", pixels)
    (tmp_path / "b.vrt").write_text(vrt("source.tif" if relative else tmp_path / "source.tif", relative=relative))
    (tmp_path / "a.vrt").write_text(vrt("b.vrt", relative=1))
    with open_raster(tmp_path / "a.vrt") as file:
        np.testing.assert_array_equal(file.read().transpose(1, 2, 0), pixels)
    assert {file.name for file in raster_files(tmp_path / "a.vrt")} == {"a.vrt", "b.vrt", "source.tif"}


@pytest.mark.parametrize("element", ["SourceFilename", "SourceDataset"])
@pytest.mark.parametrize(
    "source", ["none.tif", "text.txt", "wms.xml", "self.vrt", "/vsizip/a.zip/a.tif", "http://localhost:9/a.tif", WMS[:9], ""]
)
def test_what_a_vrt_may_not_name(tmp_path, source, element):
    (tmp_path / "text.txt").write_text("root:x:0:0")
    (tmp_path / "wms.xml").write_text(WMS)
    (tmp_path / "self.vrt").write_text(vrt(source.replace("<", "&lt;"), element, relative=1))
    with pytest.raises(InputError, match=r"self\.vrt"):
        opens(tmp_path / "self.vrt")


EMPTY = "<VRTDataset rasterXSize='99999' rasterYSize='99999'><VRTRasterBand dataType='Byte' band='1'/></VRTDataset>"


@pytest.mark.parametrize("text", ["<VRTDataset", "no xml", "<GDAL_WMS/>", vrt("a")[:50], EMPTY])
def test_damaged_vrt(tmp_path, text):
    (tmp_path / "a.vrt").write_text(text)
    with pytest.raises(InputError, match=r"a\.vrt"):
        opens(tmp_path / "a.vrt")


def test_companions_that_lead_elsewhere_are_refused(tmp_path, pixels):
    (tmp_path / "private").mkdir()
    secret = write(tmp_path / "private" / "secret.tif", pixels[:20, :24])
    path = write(tmp_path / "a.tif", pixels)
    overviews = f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{secret}</MDI></Metadata></PAMDataset>'
    companions = {".ovr": vrt(secret, shape=(20, 24)), ".msk": vrt(secret), ".aux.xml": overviews}
    for suffix, text in companions.items():
        companion = tmp_path / f"a.tif{suffix}"
        companion.write_text(text)
        with pytest.raises(InputError, match=r"a\.tif: refers to"):
            opens(path)
        companion.unlink()
    assert opens(path) == ("GTiff", (40, 48))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compress": "deflate"},
        {"interleave": "band"},
        {"tiled": True, "blockxsize": 16, "blockysize": 16},
        {"driver": "ENVI"},
    ],
    ids=str,
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused_before_they_are_read(tmp_path, pixels, options, share):
    path = write(tmp_path / "a.tif", pixels, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"a\.tif: .*truncated"):
        opens(path)


def declares(path, width, height, bands, tile=0):
    """Write a TIFF of a few bytes that declares any size."""
    data = bytes(64)
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8 if tile else 1), (262, 3, 1), (277, 3, bands), (284, 3, 1)]
    if tile:
        tags += [(322, 4, tile), (323, 4, tile), (324, 4, 8), (325, 4, len(data))]
    else:
        tags += [(273, 4, 8), (278, 4, height), (279, 4, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(tags))
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path


DECLARED = {
    "bands": (64, 64, 65535),
    "pixels": (100_000, 100_000, 3),
    "more_pixels": (10**6, 10**6, 1),
    "tile": (60_000, 60_000, 1, 60_000),
    "tiles": (100_000, 100_000, 3, 256),
    "few_tiles": (4000, 4000, 1, 256),
}


@pytest.mark.parametrize("shape", DECLARED.values(), ids=DECLARED)
@pytest.mark.parametrize("read", [opens, read_deep, read_image, read_gray])
def test_what_a_file_declares_is_checked_before_it_is_read(tmp_path, shape, read):
    with pytest.raises(InputError, match=r"a\.tif"):
        read(declares(tmp_path / "a.tif", *shape))


def test_names_that_gdal_alone_understands(tmp_path, pixels, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("a.tif", pixels)
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.write("a.tif")
    for name in (
        "/vsizip/a.zip/a.tif",
        "/vsicurl/http://localhost:9/a.tif",
        "zip://a.zip!a.tif",
        "GTIFF_DIR:1:a.tif",
        "s3://a/b.tif",
    ):
        for read in (opens, read_deep, read_image, existing_file):
            with pytest.raises(InputError, match="names of data in archives, in other files or on servers are not taken"):
                read(name)


def test_names_of_files(tmp_path, pixels, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("a.tif", pixels)
    for name in ("zip:a.tif", "a?b#c.tif", "a!b.tif", "GTIFF_DIR:1:a.tif", " a.tif", "ä.tif"):
        shutil.copy("a.tif", tmp_path / name)
        assert opens(name) == ("GTiff", (40, 48))
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "link.tif").symlink_to("none.tif")
    for name, message in {
        "folder.tif": "a folder",
        "link.tif": "broken or circular link",
        "x" * 300: "no such file",
        "a\0.tif": "no such file",
        "none.tif": "no such file",
    }.items():
        with pytest.raises(InputError, match=message):
            opens(name)


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_names_that_are_not_utf8(tmp_path, pixels):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tif")
    shutil.copy(write(tmp_path / "a.tif", pixels), name)
    with pytest.raises(InputError, match="not UTF-8; rename it"):
        opens(name)


def test_where_images_have_data(tmp_path, pixels):
    values = pixels.astype(np.float32) + 1
    values[:5, :, 0], values[5:9] = -1, np.nan
    valid = read_valid(write(tmp_path / "a.tif", values, nodata=-1))
    assert not valid[:9].any() and valid[9:].all()


GRID = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 1, 1)}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({}, None),
        ({"transform": from_origin(500_000.3, 5_000_000.3, 1, 1)}, None),
        ({"transform": from_origin(500_032, 5_000_000, 1, 1)}, r"lies \+32\.0 columns and \+0\.0 rows from .*a\.tif"),
        ({"transform": from_origin(500_000, 5_000_000, 2, 2)}, "lies"),
        ({"transform": Affine(1, 0, 500_000, 0, 1, 5_000_000 - 40)}, "mirrored or turned"),
        ({"transform": Affine(-1, 0, 500_048, 0, -1, 5_000_000)}, "mirrored or turned"),
        ({"crs": "EPSG:32634"}, "lies"),
        ({"crs": None, "transform": from_origin(500_032, 5_000_000, 1, 1)}, "lies"),
        ({"crs": None}, None),
        ({"crs": None, "transform": None}, None),
        ({"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "unrelated"),
    ],
)
def test_georeference_of_a_pair(tmp_path, pixels, other, message):
    paths = write(tmp_path / "a.tif", pixels, **GRID), write(tmp_path / "b.tif", pixels[..., :1], **(GRID | other))
    found = georeference_mismatch(*paths)
    assert (found is None) if message is None else found.startswith(f"{paths[1]}: "), found
    if message is not None:
        with pytest.raises(InputError, match=message):
            raise InputError(found)


def test_georeference_of_world_files(tmp_path, pixels):
    for name, left in (("a", 1000), ("b", 1016)):
        write(tmp_path / f"{name}.png", pixels, driver="PNG")
        (tmp_path / f"{name}.png.aux.xml").unlink(missing_ok=True)
        (tmp_path / f"{name}.pgw").write_text(f"1\n0\n0\n-1\n{left}.5\n4999.5\n")
    assert "+16.0 columns" in georeference_mismatch(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "b.pgw").unlink()
    assert georeference_mismatch(tmp_path / "a.png", tmp_path / "b.png") is None


def test_pictures_that_run_programs_are_not_opened(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\nshowpage\n")
    for read in (read_image, read_gray, image_format):
        with pytest.raises(InputError, match=r"a\.png: not a readable image"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("dtype", "scale", "message"),
    [
        ("uint8", 1, None),
        ("uint16", 1, "16-bit integer values, but"),
        ("float32", 1, "float32 values"),
        ("uint8", 0.5, "scale 0.5"),
    ],
)
def test_stored_values_of_a_pair(tmp_path, pixels, dtype, scale, message):
    paths = write(tmp_path / "a.tif", pixels), write(tmp_path / "b.tif", pixels.astype(dtype))
    with rasterio.open(paths[1], "r+") as file:
        file.scales = [scale] * 3
    found = values_mismatch(*paths)
    assert (found is None) if message is None else (str(paths[1]) in found and message in found)


def test_sparse_files_are_read(tmp_path):
    profile = {"driver": "GTiff", "width": 2000, "height": 2000, "count": 1, "dtype": "uint8", "tiled": True, "SPARSE_OK": True}
    rasterio.open(tmp_path / "a.tif", "w", **profile).close()
    assert opens(tmp_path / "a.tif") == ("GTiff", (2000, 2000))

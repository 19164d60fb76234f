"""Reading image files: accepted formats, and errors that name the file."""

import warnings

import numpy as np
import pytest
from PIL import Image

from cdzoo.data.masks import read_mask
from cdzoo.errors import InputError
from cdzoo.io.images import check_same_size, image_format, image_size, read_image, read_image_and_valid

RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_lossless_formats_round_trip(tmp_path, suffix):
    assert np.array_equal(read_image(save(tmp_path / f"x{suffix}", RGB)), RGB)


def test_jpeg_gray_and_palette(tmp_path):
    assert read_image(save(tmp_path / "x.jpg", RGB)).shape == (40, 50, 3)
    assert read_image(save(tmp_path / "g.png", RGB[..., 0]), bands=1).shape == (40, 50, 1)
    Image.fromarray(RGB).convert("P").save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (40, 50, 3)


def test_opaque_alpha_is_dropped_with_a_warning_unless_four_bands_are_requested(tmp_path):
    path = save(tmp_path / "a.png", np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]))
    with pytest.warns(UserWarning, match=r"a\.png: the alpha channel is opaque everywhere and is dropped"):
        assert np.array_equal(read_image(path), RGB)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path, bands=4).shape == (40, 50, 4)


def test_transparency_raises(tmp_path):
    alpha = np.full(RGB.shape[:2], 255, np.uint8)
    alpha[3, 4] = 254
    with pytest.raises(InputError, match=r"a\.png: the image is partly transparent"):
        read_image(save(tmp_path / "a.png", np.dstack([RGB, alpha])))


def test_deep_images_require_a_value_range_and_keep_their_depth(tmp_path):
    Image.fromarray(np.full((40, 50), 4000, np.uint16)).save(tmp_path / "gray.png")
    _write_png16(tmp_path / "rgb.png", RGB.astype(np.uint16) * 257)
    Image.fromarray(np.full((40, 50), 4000, np.uint16)).save(tmp_path / "gray.tif")
    Image.fromarray(np.ones((40, 50), np.float32)).save(tmp_path / "float.tif")
    for name, bands in (("gray.png", 1), ("rgb.png", 3), ("gray.tif", 1), ("float.tif", 1)):
        assert image_size(tmp_path / name) == (40, 50)
        with pytest.raises(InputError, match=rf"{name}: .* values from .*--value-range"):
            read_image(tmp_path / name, bands)
        with pytest.raises(InputError, match=rf"{name}: more than 8 bits per pixel.*expected a mask of 8-bit"):
            read_mask(tmp_path / name)
    np.testing.assert_allclose(read_image(tmp_path / "rgb.png", 3, (0, 65535)), RGB / 255, atol=1e-6)
    assert read_image(tmp_path / "gray.tif", 1, (0, 8000)).dtype == np.float32
    np.testing.assert_allclose(read_image(tmp_path / "gray.tif", 1, (2000, 6000)), 0.5)
    np.testing.assert_allclose(read_image(save(tmp_path / "g.png", RGB), 3, (0, 510)), RGB / 510, atol=1e-6)


def test_many_bands_are_read(tmp_path):
    import rasterio

    pixels = np.random.default_rng(0).integers(0, 10000, (13, 20, 30), dtype=np.uint16)
    profile = {"driver": "GTiff", "height": 20, "width": 30, "count": 13, "dtype": "uint16"}
    with rasterio.open(tmp_path / "s2.tif", "w", **profile) as file:
        file.write(pixels)
    np.testing.assert_allclose(read_image(tmp_path / "s2.tif", 13, (0, 10000)), np.moveaxis(pixels, 0, -1) / 1e4, atol=1e-6)
    assert image_format(tmp_path / "s2.tif") == (20, 30, 13, "uint16")
    assert image_format(save(tmp_path / "g.png", RGB)) == (40, 50, 3, "uint8")


def test_nan_values_raise_with_their_number(tmp_path):
    pixels = np.ones((40, 50), np.float32)
    pixels[3, :4] = np.nan
    Image.fromarray(pixels).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match=r"float\.tif: 4 pixel\(s\) are NaN or infinite"):
        read_image(tmp_path / "float.tif", 1, (0, 1))


def test_broken_links_and_folders_raise(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: a broken or circular link"):
        read_image(tmp_path / "a.png")
    (tmp_path / "c.png").mkdir()
    with pytest.raises(InputError, match=r"c\.png: a folder, not an image"):
        read_image(tmp_path / "c.png")


def _write_png16(path, pixels):
    """Write a 16-bit RGB PNG, which Pillow reads (as 8 bits) and cannot write."""
    import struct
    import zlib

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert Image.open(path).mode == "RGB"


def test_missing_truncated_and_other_files_raise(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png")
    whole = save(tmp_path / "whole.png", RGB).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"half\.png: the image is damaged or truncated"):
        read_image(tmp_path / "half.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match=r"text\.png: not a readable image"):
        read_image(tmp_path / "text.png")


def test_number_of_bands_is_checked(tmp_path):
    with pytest.raises(InputError, match=r"g\.png: the image has 1 band\(s\), expected 3; .*in_chans=1"):
        read_image(save(tmp_path / "g.png", RGB[..., 0]))


def test_sizes_are_compared(tmp_path):
    a, b = save(tmp_path / "a.png", RGB), save(tmp_path / "b.png", RGB[:-1])
    with pytest.raises(InputError, match=r"b\.png: 50x39 pixels, but .*a\.png has 50x40"):
        check_same_size(a, b)


@pytest.mark.parametrize("changed", [1, 255])
def test_masks_of_0_and_1_or_255(tmp_path, changed):
    mask = (RGB[..., 0] > 128).astype(np.uint8)
    assert np.array_equal(read_mask(save(tmp_path / "m.png", mask * changed)), mask)
    assert np.array_equal(read_mask(save(tmp_path / "c.png", np.dstack([mask * changed] * 3))), mask)
    Image.fromarray(mask.astype(bool)).save(tmp_path / "bits.png")
    assert np.array_equal(read_mask(tmp_path / "bits.png"), mask)


def test_other_masks_raise(tmp_path):
    with pytest.raises(InputError, match=r"m\.png: the mask has values 0, 7, 255; expected 0/1 or 0/255"):
        read_mask(save(tmp_path / "m.png", np.array([[0, 7], [255, 0]], np.uint8)))
    with pytest.raises(InputError, match="values 0, 1, 255"):
        read_mask(save(tmp_path / "m.png", np.array([[0, 1], [255, 0]], np.uint8)))
    with pytest.raises(InputError, match=r"m\.png: the mask is a color image"):
        read_mask(save(tmp_path / "m.png", RGB))


def raster(path, pixels, **profile):
    import rasterio

    height, width, count = pixels.shape
    profile = {"dtype": pixels.dtype, "transform": rasterio.Affine.scale(2), **profile}
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=count, **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


@pytest.mark.parametrize(
    ("bands", "tags"),
    [
        (2, {}),
        (4, {"photometric": "RGB", "alpha": "UNSPECIFIED"}),
        (4, {"photometric": "RGB", "alpha": "YES"}),
        (4, {"photometric": "RGB", "alpha": "PREMULTIPLIED"}),
        (4, {"photometric": "CMYK"}),
        (5, {}),
        (9, {"interleave": "band"}),
    ],
)
def test_the_tags_of_a_tiff_decide_its_bands(tmp_path, bands, tags):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, bands), dtype=np.uint8)
    path = raster(tmp_path / "x.tif", pixels, **tags)
    assert image_format(path) == (40, 50, bands, "uint8") and np.array_equal(read_image(path, bands), pixels)
    with pytest.raises(InputError, match=r"x\.tif: the image (has|is partly)"):
        read_image(path, bands - 1)


def test_a_further_band_of_255_is_dropped_with_a_warning(tmp_path):
    pixels = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    with pytest.warns(UserWarning, match=r"x\.tif: band 4 is 255 everywhere and is dropped"):
        assert np.array_equal(read_image(raster(tmp_path / "x.tif", pixels, photometric="RGB", alpha="UNSPECIFIED")), RGB)


@pytest.mark.parametrize(("suffix", "options"), [(".png", {}), (".webp", {"lossless": True}), (".tif", {})])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path, suffix, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = {2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 6: np.rot90, 8: lambda x: np.rot90(x, -1)}
    stored |= {5: lambda x: x.transpose(1, 0, 2), 7: lambda x: np.rot90(x, 2).transpose(1, 0, 2), 1: lambda x: x}
    path = tmp_path / f"x{suffix}"
    Image.fromarray(np.ascontiguousarray(stored[orientation](RGB))).save(path, exif=exif, **options)
    assert image_size(path) == (40, 50) and np.array_equal(read_image(path), RGB)


def test_colors_are_read_as_what_they_stand_for(tmp_path):
    smooth = np.linspace(40, 200, 40 * 50 * 3).reshape(40, 50, 3).astype(np.uint8)
    # Pillow 12 cannot read the YCbCr TIFFs that it writes without compression.
    for name, mode, options in (("a.tif", "YCbCr", {"compression": "jpeg"}), ("b.jpg", "CMYK", {})):
        Image.fromarray(smooth).convert(mode).save(tmp_path / name, quality=95, **options)
        assert np.abs(read_image(tmp_path / name).astype(int) - smooth).max() < 12
    Image.fromarray(smooth).convert("LAB").save(tmp_path / "c.tif")
    with pytest.raises(InputError, match=r"c\.tif: stored in the color space LAB; convert it to RGB"):
        read_image(tmp_path / "c.tif")
    save(tmp_path / "d.png", RGB, transparency=tuple(map(int, RGB[0, 0])))
    with pytest.raises(InputError, match=r"d\.png: the image is partly transparent"):
        read_image(tmp_path / "d.png")


def test_a_file_with_several_pages_raises(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "p.tif", save_all=True, append_images=[Image.fromarray(RGB)])
    with pytest.raises(InputError, match=r"p\.tif: has 2 pages"):
        read_image(tmp_path / "p.tif")


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("uint16", 65535), ("float32", -9999.0), ("float32", np.nan)])
def test_declared_no_data_is_found(tmp_path, dtype, nodata):
    pixels = np.maximum(RGB, 1).astype(dtype)
    pixels[:7] = nodata
    value_range = None if dtype == "uint8" else (0, 255)
    path = raster(tmp_path / "x.tif", pixels, nodata=nodata)
    found, valid = read_image_and_valid(path, 3, value_range)
    assert not valid[:7].any() and valid[7:].all() and (found[:7] == 0).all() and found[7:].all()
    with pytest.warns(UserWarning, match=r"350 pixel\(s\) are declared to have no data"):
        assert np.array_equal(read_image(path, 3, value_range), found)
    pixels[:7] = 1
    assert read_image_and_valid(raster(path, pixels, nodata=nodata), 3, value_range)[1] is None


def test_masks_mean_their_colors(tmp_path):
    mask = (RGB[..., 0] > 128).astype(np.uint8)
    palette = Image.fromarray(1 - mask).convert("P")
    palette.putdata((1 - mask).ravel().tolist())
    palette.putpalette([255, 255, 255, 0, 0, 0])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(mask * 255).convert("CMYK").save(tmp_path / "ink.tif")
    Image.fromarray(mask * 255).convert("YCbCr").save(tmp_path / "luma.tif", compression="tiff_lzw")
    for name in ("palette.png", "ink.tif", "luma.tif"):
        assert np.array_equal(read_mask(tmp_path / name), mask), name
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.save(tmp_path / "red.png")
    with pytest.raises(InputError, match=r"red\.png: the mask is a color image, with \(0, 0, 0\), \(200, 0, 0\)"):
        read_mask(tmp_path / "red.png")
    for name, bands in (("la.png", [mask * 0 + 255, mask * 255]), ("rgba.png", [*[mask * 0] * 3, mask * 255])):
        with pytest.raises(InputError, match=rf"{name}: the mask is partly transparent"):
            read_mask(save(tmp_path / name, np.dstack(bands)))
    with pytest.raises(InputError, match=r"signed\.tif: signed values \(int8\)"):
        read_mask(raster(tmp_path / "signed.tif", mask[..., None].astype(np.int8)))


def test_a_folder_of_bands_is_an_image(tmp_path):
    names = ["B01", "B02", "B8A", "B08", "B09", "B10"]
    for number, name in enumerate(names):
        raster(tmp_path / f"T32_{name}.tif", np.full((40, 50, 1), number * 100, np.uint16))
    assert image_format(tmp_path) == (40, 50, 6, "uint16")
    assert (read_image(tmp_path, 6, (0, 100))[0, 0] == [0, 1, 3, 2, 4, 5]).all()
    with pytest.raises(InputError, match=r"has 6 band\(s\), expected 3"):
        read_image(tmp_path, 3, (0, 100))
    (tmp_path / "unplaced").mkdir()
    for name, side in (("B02", 20), ("B11", 10)):
        save(tmp_path / "unplaced" / f"{name}.png", np.zeros((side, side), np.uint8))
    with pytest.raises(InputError, match="the bands differ in size and have no georeference"):
        read_image(tmp_path / "unplaced", 2)

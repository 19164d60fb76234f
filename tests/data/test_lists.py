"""List files, files that are left out, and the georeference of pairs."""

import codecs
import os

import numpy as np
import pytest
import rasterio
from PIL import Image

from cdzoo.data.check import check_data, list_data
from cdzoo.data.folder import FolderPairs
from cdzoo.data.open import DataCfg, open_data
from cdzoo.errors import InputError


@pytest.mark.parametrize(
    "data",
    [
        "site.2019.01\nsite.2019.02\n".encode("utf-8-sig"),
        b"A\\site.2019.01.png\r\nA\\site.2019.02.png",
        codecs.BOM_UTF16_LE + "site.2019.01.PNG\r\nsite.2019.02.tif".encode("utf-16-le"),
        b"A/site.2019.01.png B/site.2019.01.png\n\n  label/site.2019.02.png \n",
    ],
    ids=["byte order mark", "backslashes", "UTF-16", "folders"],
)
def test_names_in_list_files(pair_folder, data):
    root = pair_folder(3)
    for folder in ("A", "B", "label"):
        for index in range(3):
            (root / folder / f"pair_{index}.png").rename(root / folder / f"site.2019.0{index}.png")
    (root / "train.txt").write_bytes(data)
    assert [pair.name for pair in list_data(root)["train"].pairs] == ["site.2019.01", "site.2019.02"]


def test_a_name_may_end_like_an_image(pair_folder):
    root = pair_folder(2)
    for folder in ("A", "B", "label"):
        (root / folder / "pair_1.png").rename(root / folder / "pair.tif.png")
    (root / "train.txt").write_text("pair.tif\npair_0.png")
    assert {pair.name for pair in list_data(root)["train"].pairs} == {"pair.tif", "pair_0"}


def test_webp_is_read_and_other_files_are_named(pair_folder):
    root = pair_folder(3)
    for folder in ("A", "B", "label"):
        path = root / folder / "pair_1.png"
        Image.open(path).save(path.with_suffix(".webp"), lossless=True)
        Image.open(path).save(path.with_name("more.gif"))
        path.unlink()
        (root / folder / "pair_0.png.aux.xml").write_text("<x/>")
    (root / "A" / "deeper").mkdir()
    with pytest.warns(UserWarning, match=r"4 file\(s\) are left out, such as .*\(3 of \.gif, 1 of folders\)"):
        assert len(FolderPairs(root)) == 3
    report = check_data(root, progress=False)
    assert report.problems == [] and "3 of .gif" in report.notes[0]


def test_dates_may_have_different_bands(pair_folder):
    root = pair_folder(3)
    for path in (root / "A").iterdir():
        Image.open(path).convert("L").save(path)
    report = check_data(root, progress=False)
    assert report.problems == [] and report.splits[0].described_formats.startswith("date 1: 3 with 1 band(s)")
    assert FolderPairs(root, (1, 3))[0].images[0].shape[0] == 1
    Image.new("L", (48, 48)).save(root / "B" / "pair_2.png")
    assert "most images of date 2 have 3 band(s) uint8, but 1 with 1 band(s)" in check_data(root, progress=False).problems[0]


def write(path, pixels, left=500000.0, step=1.0, **profile):
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width, count = pixels.shape
    place = rasterio.Affine(step, 0, left if step > 0 else left + width, 0, -1, 5000000)
    profile = {"crs": "EPSG:32633", "transform": place, "dtype": pixels.dtype} | profile
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=count, **profile) as file:
        file.write(pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("which", "options", "message"),
    [
        ("B", {"left": 500032.0}, r"B/p\.tif: lies \+32\.0 columns"),
        ("label", {"step": -1.0}, r"label/p\.tif: covers the grid .*mirrored"),
        ("label", {"crs": None, "transform": rasterio.Affine.identity()}, ""),
    ],
)
def test_the_georeference_of_a_pair_is_compared(tmp_path, which, options, message):
    pixels = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)
    for folder in ("A", "B", "label"):
        values = np.eye(40, dtype=np.uint8) * 255 if folder == "label" else pixels
        write(tmp_path / folder / "p.tif", values, **(options if folder == which else {}))
    problems = check_data(tmp_path, progress=False).problems
    if not message:
        assert problems == [] and len(FolderPairs(tmp_path)) == 1
        return
    with pytest.raises(InputError, match=message) as caught:
        FolderPairs(tmp_path)
    assert len(problems) == 1 and problems[0] in str(caught.value)


def test_pixels_without_data_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(2):
        before, after = rng.integers(1, 4000, (2, 40, 40, 3)).astype(np.int16)
        after[30:] = -9999
        write(tmp_path / "test" / "A" / f"p{number}.tif", before, nodata=-9999)
        write(tmp_path / "test" / "B" / f"p{number}.tif", after, nodata=-9999)
        write(tmp_path / "test" / "label" / f"p{number}.tif", np.eye(40, dtype=np.uint8) * 255)
    sample = open_data(DataCfg(str(tmp_path), value_range=(0, 4000)), ("test",)).splits["test"][1]
    assert (sample.target["mask"][30:] == 255).all() and (sample.images[1][:, 30:] == 0).all()
    assert sample.target["mask"][:30].sum() == 30 and sample.images[0].min() > 0
    report = check_data(tmp_path, progress=False)
    assert report.problems == [] and report.splits[0].no_data == pytest.approx(0.125)


@pytest.mark.skipif(os.name != "posix", reason="names are Unicode")
def test_names_that_are_not_utf_8_are_refused_by_the_check_and_by_training(pair_folder):
    root = pair_folder(4)
    try:
        for folder in ("A", "B", "label"):
            os.rename(root / folder / "pair_0.png", os.fsencode(root / folder) + b"/stra\xdfe.png")
    except OSError:
        pytest.skip("the file system has no such names")
    assert any("not UTF-8; rename it" in problem for problem in check_data(root, progress=False).problems)
    with pytest.raises(InputError, match="not UTF-8; rename it"):
        open_data(DataCfg(str(root)), ("train", "val"))

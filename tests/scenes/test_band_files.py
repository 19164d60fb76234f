"""Files of single bands as one raster, and bands by name."""

import numpy as np
import pytest
import rasterio
from blocks import commands, read_blocks
from document_files import write_sentinel

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.io.band_files import one_raster
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.dates import opened_dates
from cdzoo.scenes.stack import stack_dates


def write(path, pixels, step, left=500_000.0):
    """Write a band (H, W) with pixels of `step` meters."""
    profile = {"driver": "GTiff", "height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": pixels.dtype}
    transform = rasterio.transform.from_origin(left, 5_000_000, step, step)
    with rasterio.open(path, "w", crs="EPSG:32633", transform=transform, **profile) as file:
        file.write(pixels, 1)


def ramp(size, step, left=0.0):
    """Return a band whose numbers are the coordinates of the centers of its pixels."""
    return np.tile(((np.arange(size) + 0.5) * step + left).round().astype(np.uint16), (size, 1))


def test_coarser_bands_are_interpolated_by_their_coordinates(tmp_path):
    write(tmp_path / "T31_B02_10m.tif", ramp(60, 10), 10)
    write(tmp_path / "T31_B02_20m.tif", ramp(30, 20), 20)  # the finer one is taken
    write(tmp_path / "T31_B11_20m.tif", ramp(30, 20), 20)
    write(tmp_path / "T31_B09_60m.tif", ramp(10, 60, 13), 60, 500_013.0)  # begins between two pixels
    write(tmp_path / "T31_TCI.tif", ramp(60, 10), 10)
    with one_raster(tmp_path) as path, rasterio.open(path) as file:
        assert file.descriptions == ("B02", "B09", "B11") and file.shape == (60, 59)
        fine, coarse, medium = file.read()[:, :, 4:-4].astype(int)
    assert abs(medium - fine).max() <= 1 and abs(coarse - fine).max() <= 1
    with one_raster(tmp_path / "*_B11*.tif") as path, rasterio.open(path) as file:
        assert file.descriptions == ("B11",)


def test_the_map_of_a_folder_is_that_of_one_file(detector, tmp_path):
    for name in ("a_2019", "b_2024", "a_2019.tif", "b_2024.tif"):
        write_sentinel(tmp_path / name)
    cfg = SceneCfg(bands=("B04 b3", "B02"), reflectance="auto", progress=False)
    masks = []
    for suffix in ("", ".tif"):
        result = predict_scene(
            detector(), tmp_path / f"a_2019{suffix}", tmp_path / f"b_2024{suffix}", tmp_path / f"c{suffix}.tif", cfg
        )
        with rasterio.open(result.mask) as file:
            masks.append(file.read(1))
    np.testing.assert_array_equal(*masks)
    assert 0 < masks[0].mean() < 0.5
    result = predict_scene(detector(), tmp_path / "a_2019", tmp_path / "b_2024", tmp_path / "c.tif", cfg, skip_finished=True)
    assert result.finished


def test_series_lists_and_stacks_of_folders(detector, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    for name in ("a_2019", "b_2024", "c_2024", "a_2019.tif", "b_2024.tif"):
        write_sentinel(tmp_path / name)
    options = ["--bands", "B04", "B03", "B02", "--reflectance", "auto"]
    assert main(["predict", "--series", "a_2019", "b_2024", "-o", "s.tif", *options]) == 0
    values = [*options[:4], "--value-range", "0", "4000"]
    for suffix in ("", ".tif"):
        assert main(["stack", f"a_2019{suffix}", f"b_2024{suffix}", "-o", f"t{suffix or '_of_folders.tif'}", *values]) == 0
    with rasterio.open("t.tif") as file, rasterio.open("t_of_folders.tif") as of_folders:
        np.testing.assert_array_equal(file.read(), of_folders.read())
    (tmp_path / "list.csv").write_text(
        "before,after,output\na_2019,b_2024,l.tif\na_2019,missing,m.tif\na_2019,c_2024,c_2024/B04.tif\n"
    )
    capsys.readouterr()
    assert main(["predict", "--manifest", "list.csv", *options]) == 1
    out = capsys.readouterr().out
    assert "missing: no such file" in out and "c_2024/B04.tif is an image of" in out
    with rasterio.open("l.tif") as file, rasterio.open("s.tif") as series:
        np.testing.assert_array_equal(file.read(1), series.read(1))
        assert (file.read(1) == 1).any()
    with pytest.raises(InputError, match=r"B04\.tif: is the input"):
        stack_dates("a_2019", "b_2024", "a_2019/B04.tif")
    assert main(["predict", "--series", "a_2019", "b_2024", "a_2019", "-o", "again.tif", *options]) != 0
    assert "a_2019: is in the series twice" in capsys.readouterr().err


def test_names_and_files_that_do_not_fit(tmp_path):
    write_sentinel(tmp_path / "2019.tif")
    paths = (tmp_path / "2019.tif",) * 2
    with pytest.raises(InputError, match=r"no band has the name B8A \(names in the file: B02, B03, B04, B11\)"):
        with opened_dates(*paths, (2, 2), (), SceneCfg(bands=("B04", "B8A"), value_range=(0, 1))):
            pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no rasters; pass one file"), one_raster(tmp_path / "empty"):
        pass
    write(tmp_path / "empty" / "B02.tif", ramp(60, 10), 10)
    write(tmp_path / "empty" / "B03.tif", ramp(60, 10).astype(np.float32), 10)
    with pytest.raises(InputError, match=r"B03.tif \(float32, EPSG:32633\) and B02.tif"), one_raster(tmp_path / "empty"):
        pass


def test_commands_of_the_page_run(detector, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    for name in ("sentinel_2019.tif", "sentinel_2024.tif", "bands_2019", "bands_2024"):
        write_sentinel(tmp_path / name)
    write(tmp_path / "SCL_2019.tif", np.eye(12, dtype=np.uint8) * np.uint8(4) + np.uint8(4), 8)
    write(tmp_path / "clouds_2024.tif", np.eye(12, dtype=np.uint8), 8)
    for words in [words for block in read_blocks("docs/sentinel2.md") for words in commands(block.text)]:
        assert main(words[1:]) == 0, words
    out = capsys.readouterr().out
    assert "sentinel_2024.tif: reflectance 0 to 0.3, stored as 1000 to 4000: offset 1000, as" in out
    assert "bands_2019.vrt: reflectance 0 to 0.3, stored as 0 to 3000: no offset, as" in out
    assert "mask SCL_2019.tif, values 0, 1, 3, 8, 9, 10: " in out and "mask clouds_2024.tif, values all but 0: " in out

"""Maps of STAC items on a server of this machine."""

import datetime
import json
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from blocks import commands, read_blocks
from range_server import RangeServer

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.io.remote import Limits
from cdzoo.io.stac import read_item
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.stac import stac_rasters

pystac = pytest.importorskip("pystac")

ASSETS = ["B04", "B03", "B02"]
WEST, NORTH, METERS = 500_000, 5_000_000, 10
QUICK = Limits(seconds=1, retries=1, delay=0.05)
BOX = (WEST + 400, NORTH - 2400, WEST + 3400, NORTH - 500)
PART = (slice(50, 240), slice(40, 340))  # of the scene, in rows and columns
SMALL = SceneCfg(tile=128, overlap=48, progress=False)


def write_cog(path, band, nodata=None, meters=METERS):
    profile = {"driver": "COG", "count": 1, "dtype": band.dtype, "height": band.shape[0], "width": band.shape[1]}
    transform = rasterio.transform.from_origin(WEST, NORTH, meters, meters)
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=transform, nodata=nodata) as file:
        file.write(band, 1)


def write_item(folder, name, images, day, query="", bands=None):
    """Write an item with an asset for each band, at relative addresses."""
    item = pystac.Item(name, None, None, datetime.datetime(2024, 5, day), {})
    for asset, band in zip(ASSETS, np.moveaxis(images, -1, 0), strict=True):
        write_cog(folder / f"{name}_{asset}.tif", band)
        found = pystac.Asset(f"./{name}_{asset}.tif{query}", media_type=pystac.MediaType.COG)
        found.extra_fields.update({"raster:bands": bands} if bands else {})
        item.add_asset(asset, found)
    data = item.to_dict(include_self_link=False)
    data["links"] = [{"rel": name, "href": f"https://catalog.invalid/{name}.json"} for name in ("root", "collection", "self")]
    (folder / f"{name}.json").write_text(json.dumps(data))


@pytest.fixture
def catalog(tmp_path, scene, monkeypatch):
    """Serve two items; any other host is behind a proxy that does not exist."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    for day, name in enumerate(("first", "second")):
        write_item(folder, name, scene[day], 1 + day)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with RangeServer(folder) as server:
        yield server


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.transform


def copies(catalog, output, limits=QUICK, names=("first", "second"), **options):
    items = [read_item(f"{catalog.address}/{name}.json", ASSETS, limits) for name in names]
    return stac_rasters(*items, output, limits=limits, **{"bbox": BOX, **options})


def test_the_map_is_that_of_local_files(catalog, scene, raster, detector, tmp_path):
    output, model = tmp_path / "map.tif", detector()
    with copies(catalog, output) as pair:
        assert [file.name for file in pair] == ["first.tif", "second.tif"]
        for file, image in zip(pair, scene, strict=False):
            pixels, transform = read(file)
            np.testing.assert_array_equal(pixels, image[PART].transpose(2, 0, 1))
            assert (transform.a, transform.c, transform.f) == (METERS, BOX[0], BOX[3])
        predict_scene(model, *pair, output, SMALL)
    at = rasterio.transform.from_origin(BOX[0], BOX[3], METERS, METERS)
    local = [raster(f"{name}.tif", image[PART], transform=at) for name, image in zip("ab", scene, strict=False)]
    predict_scene(model, *local, tmp_path / "local.tif", SMALL)
    np.testing.assert_array_equal(read(output)[0], read(tmp_path / "local.tif")[0])
    assert read(output)[0].any() and not [*tmp_path.glob(".*")]
    with rasterio.open(output) as file:
        assert file.tags()["before"] == "first.tif"
    asked = {path.strip("/") for _, path, _ in catalog.asked}
    assert asked == {f"{name}{end}" for name in ("first", "second") for end in (".json", *(f"_{band}.tif" for band in ASSETS))}


def test_the_command_of_the_page(catalog, scene, detector, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(catalog.folder)
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    for day, name in enumerate(("before", "after")):
        write_item(catalog.folder, name, scene[day].astype(np.uint16) * 10, 1 + day, bands=[{"scale": 0.0001}])
    (shown,) = [words for block in read_blocks("docs/stac.md") for words in commands(block.text) if "--stac" in words]
    command = ["predict", "--stac", f"{catalog.address}/before.json", *shown[4:]]  # one from the server, one local
    assert shown[:4] == ["cdzoo", "predict", "--stac", "before.json"] and main([*command, "--resolution", "20"]) == 0
    assert "before states B04 B03 B02: scale 0.0001" in capsys.readouterr().out
    pixels, transform = read("change.tif")
    assert transform.a == 20 and abs(pixels.shape[2] - 150) < 3 and not [*catalog.folder.glob(".*")]
    assert (pixels == 1).sum() == pytest.approx(80 * 140 / 4, rel=0.05)  # the changed rectangle
    words, box, output = command[: command.index("--bbox")], command[command.index("--bbox") :][:5], tmp_path / "map.tif"
    for wrong, message in (
        ([*words, "-o", str(output)], "pass the part to read"),
        ([*words, *box, "-o", str(catalog.folder / "after_B04.tif")], "is the input"),
        ([*words[:-1], "B99", *box, "-o", str(output)], "It has: B04, B03, B02"),
        ([*words[:4], *box, "-o", str(output)], "--assets NAME"),
        (["predict", "a", "b", "-o", str(output), "--assets", "x"], "pass --stac"),
        ([*words, "--bbox", "[0, 0, 1, 1]", "-o", str(output)], "no pixel lies in"),
    ):
        assert main(wrong) == 2 and message in capsys.readouterr().err


def test_values_are_those_of_the_training_and_bands_are_the_assets(catalog, scene, detector, tmp_path, monkeypatch, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").touch()
    data = {"data": "pairs", "value_range": [0, 2550], "bands": [3, 2, 1]}
    monkeypatch.setattr("cdzoo.results.Results.read", lambda _: SimpleNamespace(data=data))
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    for day, name in enumerate(("first", "second")):
        write_item(catalog.folder, name, scene[day].astype(np.uint16) * 10, 1 + day)
    items = [str(catalog.folder / f"{name}.json") for name in ("first", "second")]
    words = ["predict", "--stac", *items, "--assets", *ASSETS, "--bbox", *map(str, BOX), "-o", str(tmp_path / "map.tif")]
    assert main([*words, "--model", str(tmp_path / "run")]) == 0
    assert "as in the training of" in (out := capsys.readouterr().out) and "--value-range 0 2550\n" in out
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["values_before"] == "0 to 2550"


@pytest.mark.parametrize("fault", [503, "cut", pytest.param("stall", marks=pytest.mark.slow)])
def test_faults_that_pass(catalog, scene, tmp_path, fault):
    """In the second request of GDAL, and of an item."""
    catalog.faults = {"first_B03.tif": [None, None, fault, None], "second.json": [fault, None]}
    limits = Limits(seconds=3, retries=1, delay=0.05) if fault == "stall" else QUICK
    with copies(catalog, tmp_path / "map.tif", limits) as pair:
        np.testing.assert_array_equal(read(pair[0])[0], scene[0][PART].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("second.json", "stall", "limited to 1 s without data, 2.05 s per request"),
        ("second.json", 404, "answered 404"),
        ("second.json", "cut", "gave up after 2"),
        ("first_B03.tif", 503, "answered 503"),
        ("first_B03.tif", 403, "sign the item"),
        ("first_B03.tif", "cut", "gave up after 2"),
    ],
)
def test_faults_that_stay(catalog, tmp_path, name, fault, message):
    """A fault that no retry can mend is told at once; others after the time that the message states."""
    catalog.faults = {name: [fault]}
    start = time.monotonic()
    with pytest.raises(InputError, match=message) as error, copies(catalog, tmp_path / "map.tif"):
        pass
    assert name in str(error.value) and time.monotonic() - start < QUICK.longest + 3
    count = sum(path.endswith(name) for _, path, _ in catalog.asked)
    assert count == (1 if fault in (403, 404) else 2)


def test_faults_while_pixels_are_read(catalog, tmp_path):
    for fault in ("stall", 503):
        catalog.faults = {"first_B03.tif": [None, fault]}
        start = time.monotonic()
        with pytest.raises(InputError, match=r"first_B03.*gave up after"), copies(catalog, tmp_path / "map.tif"):
            pass
        assert time.monotonic() - start < QUICK.longest + 3
    catalog.faults = {"first_B04.tif": ["whole"]}
    with pytest.raises(InputError, match="range requests"), copies(catalog, tmp_path / "map.tif"):
        pass


def test_limits_by_default():
    assert Limits().longest < 60


def test_copies_of_an_interrupted_run(catalog, tmp_path, scene):
    """They are used again unless the images or the area differ; signatures are not stored, nor shown."""
    output = tmp_path / "map.tif"
    write_item(catalog.folder, "first", scene[0], 1, "?sig=SECRET", [{"scale": 0.0001, "offset": -0.1}])
    with pytest.raises(KeyboardInterrupt), copies(catalog, output) as pair:
        states = [file.stat().st_mtime_ns for file in pair]
        with rasterio.open(pair[0]) as file:
            assert "SECRET" not in str(file.tags()) and file.tags()["ACQUISITION_DATE"] == "2024-05-01"
            assert file.descriptions == ("B04", "B03", "B02") and file.offsets[0] == -0.1
        raise KeyboardInterrupt
    write_item(catalog.folder, "first", scene[0], 1, "?sig=OTHER", [{"scale": 0.0001, "offset": -0.1}])
    catalog.asked.clear()
    with pytest.raises(KeyboardInterrupt), copies(catalog, output) as pair:
        assert [file.stat().st_mtime_ns for file in pair] == states
        raise KeyboardInterrupt
    assert not any("second_B" in path for _, path, _ in catalog.asked)
    with copies(catalog, output, bbox=(BOX[0], BOX[1], BOX[2] - 500, BOX[3])) as pair:
        assert read(pair[1])[0].shape == (3, 190, 250)
    catalog.faults = {"first_B04.tif": [404]}
    with pytest.raises(InputError) as error, copies(catalog, output):
        pass
    assert "OTHER" not in str(error.value) and "sig" not in str(error.value)


def test_grids_and_nodata(catalog, tmp_path, scene):
    """The second band has pixels of 20 m, which are interpolated; the third has no data in some, and is smaller."""
    coarse = np.full((150, 205), 90, np.uint16)
    coarse[:, 100:] = 190
    third = np.full((120, 410), 50, np.uint16)
    third[60, 70] = 0
    write_cog(catalog.folder / "first_B03.tif", coarse, meters=2 * METERS)
    write_cog(catalog.folder / "first_B02.tif", third, nodata=0)
    with copies(catalog, tmp_path / "map.tif") as pair, rasterio.open(pair[0]) as file:
        pixels, valid = file.read(), file.dataset_mask() > 0
    assert pixels.dtype == np.uint16 and {*pixels[1, 5, :150]} == {90} and pixels[1, 5, 160] in range(91, 190)
    expected = np.ones((190, 300), bool)
    expected[70:], expected[10, 30] = False, False
    np.testing.assert_array_equal(valid, expected)


def test_other_files_than_items(catalog, tmp_path, scene):
    for text, message in (("<html>", "not JSON"), ('{"type": "Catalog"}', "Catalog, not a STAC item"), ("[]", "no item")):
        (catalog.folder / "other.json").write_text(text)
        with pytest.raises(InputError, match=message):
            read_item(f"{catalog.address}/other.json", ASSETS, QUICK)
    for href in ("gs://bucket/a.tif", "file:///etc/hosts", "/vsizip/a.zip/a.tif", "../missing.tif"):
        text = (catalog.folder / "first.json").read_text().replace("./first_B04.tif", href)
        (tmp_path / "item.json").write_text(text)
        with pytest.raises(InputError):
            item = read_item(tmp_path / "item.json", ASSETS)
            stac_rasters(item, item, tmp_path / "map.tif", bbox=BOX).__enter__()
    shutil.copy(catalog.folder / "first.json", catalog.folder / "first_B04.tif")
    with pytest.raises(InputError, match="neither a GeoTIFF"), copies(catalog, tmp_path / "map.tif"):
        pass


def test_clouds_are_those_of_an_asset(catalog, scene, detector, tmp_path, monkeypatch):
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    classes = np.full((150, 205), 4, np.uint8)  # of 20 m
    classes[60:70, 80:100] = 9
    for name in ("first", "second"):
        file = catalog.folder / f"{name}.json"
        write_cog(
            catalog.folder / f"{name}_scl.tif", classes if name == "second" else np.full_like(classes, 5), meters=2 * METERS
        )
        data = json.loads(file.read_text())
        data["assets"]["scl"] = {"href": f"./{name}_scl.tif"}
        file.write_text(json.dumps(data))
    items = [f"{catalog.address}/{name}.json" for name in ("first", "second")]
    words = ["predict", "--stac", *items, "--assets", *ASSETS, "--bbox", *map(str, BOX), "-o", str(tmp_path / "map.tif")]
    assert main([*words, "--mask-asset", "scl"]) == 0
    pixels, _ = read(tmp_path / "map.tif")
    masked = (classes == 9).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(pixels[0] == 255, masked[PART])
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["mask_after"].startswith("mask_second.tif, values 0, 1, 3, 8, 9, 10: ")

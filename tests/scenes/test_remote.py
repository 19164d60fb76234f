"""Maps of remote images: on a web server, and in an object store, both of this machine."""

import os
import time

import geopandas
import numpy as np
import pytest
import rasterio
from blocks import commands, read_blocks
from range_server import RangeServer
from shapely.geometry import box

from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.io.remote import Limits
from cdzoo.scenes import SceneCfg, predict_scene, predict_series, remote, scene_area
from cdzoo.scenes.remote import local_images

SMALL = SceneCfg(tile=128, overlap=48, progress=False)
QUICK = Limits(seconds=10, retries=1, delay=0.05)
LEFT, TOP = 500_000, 5_000_000
BOX = (LEFT + 100, TOP - 250, LEFT + 350, TOP - 60)
KEYS = ("AKIAEXAMPLEKEY000000", "SECRETEXAMPLE")


@pytest.fixture
def server(tmp_path, raster, scene, monkeypatch):
    """Serve two dates as `bucket/FILE`, the second one on another grid with a color without data; any other host is unknown."""
    folder = tmp_path / "server"
    (folder / "bucket").mkdir(parents=True)
    before, after, _ = scene
    after = np.pad(after, ((30, 0), (20, 0), (0, 0)))  # black is no data
    moved = rasterio.transform.from_origin(LEFT - 20.25, TOP + 30.5, 1, 1)
    raster("server/bucket/20190601.tif", before)
    raster("server/bucket/20240601.tif", after, transform=moved, nodata=0)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with RangeServer(folder) as found:
        yield found


@pytest.fixture
def store(server, monkeypatch):
    """Ask the server for objects of S3."""
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.address.removeprefix("http://"))
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    return server


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.transform, file.tags()


def addresses(server, scheme="http"):
    start = "s3:/" if scheme == "s3" else server.address
    return [f"{start}/bucket/{year}0601.tif" for year in (2019, 2024)]


def ranges(server):
    return [tuple(map(int, asked.removeprefix("bytes=").split("-"))) for _, _, asked in server.asked if asked]


def local(server):
    return [server.folder / "bucket" / f"{year}0601.tif" for year in (2019, 2024)]


@pytest.mark.parametrize("scheme", ["http", "s3"])
@pytest.mark.parametrize("bbox", [None, BOX])
def test_the_map_is_that_of_local_files(store, detector, tmp_path, scheme, bbox):
    model, options = detector(), {"probability": tmp_path / "p.tif", "report": tmp_path / "r.html" if bbox else None}
    area = bbox and scene_area(local(store)[0], bbox)
    predict_scene(model, *local(store), tmp_path / "local.tif", SMALL, probability=tmp_path / "q.tif", area=area)
    area = bbox and scene_area(addresses(store, scheme)[0], bbox)
    predict_scene(model, *addresses(store, scheme), tmp_path / "map.tif", SMALL, area=area, **options)
    for one, other in (("map.tif", "local.tif"), ("p.tif", "q.tif")):
        pixels, transform, tags = read(tmp_path / one)
        expected, other_transform, _ = read(tmp_path / other)
        np.testing.assert_array_equal(pixels, expected)
        assert transform == other_transform
    assert pixels.shape[1:] == ((300, 410) if bbox is None else (190, 250)) and (expected > 180).sum() > 3000
    assert tags["before"] == "20190601.tif" and (not bbox or "2024-06-01" in (tmp_path / "r.html").read_text())
    assert not [*tmp_path.glob(".*")]
    assert {path for _, path, _ in store.asked} == {f"/bucket/{year}0601.tif" for year in (2019, 2024)}


def test_only_the_part_is_read(server, raster, detector, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(80, 110, (1200, 1000, 3), dtype=np.uint8)
    for name in ("a", "b"):
        with rasterio.open(raster(f"{name}.tif", image)) as file:
            rasterio.shutil.copy(file, server.folder / f"{name}.tif", driver="COG", blocksize=128)
    names = [f"{server.address}/{name}.tif" for name in "ab"]
    predict_scene(detector(), *names, tmp_path / "map.tif", SMALL, area=scene_area(names[0], BOX))
    sent = sum(last + 1 - first for first, last in ranges(server))
    assert sent < 0.3 * sum((server.folder / f"{name}.tif").stat().st_size for name in "ab")


def test_an_interrupted_run_reads_what_it_lacks(server, detector, tmp_path, interrupted):
    names, output, model = addresses(server), tmp_path / "map.tif", detector()
    interrupted(model, 3, lambda: predict_scene(model, *names, output, SMALL))
    assert [*tmp_path.glob(".map.tif.images/images/*.tif")] and not output.exists()
    server.asked.clear()
    result = predict_scene(model, *names, output, SMALL)
    assert result.resumed and not [*tmp_path.glob(".*")]
    # The start of each file and its header, and no pixels.
    assert max(last for _, last in ranges(server)) < 20_000
    server.asked.clear()
    assert predict_scene(model, *names, output, SMALL, skip_finished=True).finished and len(server.asked) <= 8
    first, second = local(server)
    second.write_bytes(first.read_bytes())
    again = predict_scene(model, *names, output, SMALL, skip_finished=True)
    assert not again.finished and again.changed == 0
    server.is_silent = True
    server.asked.clear()
    with pytest.warns(UserWarning, match="whether it changed is not known, as the server states neither"):
        assert predict_scene(model, *names, output, SMALL, skip_finished=True).finished
    assert max(last for _, last in ranges(server)) > 300_000  # after the pixels were compared


def test_an_image_that_changes_while_it_is_read(server, detector, tmp_path, monkeypatch):
    write = remote.write_copy

    def changing(file, *args):
        write(file, *args)
        server.folder.joinpath("bucket/20190601.tif").write_bytes(local(server)[1].read_bytes())

    monkeypatch.setattr(remote, "write_copy", changing)
    with pytest.raises(InputError, match=r"20190601\.tif: changed while it was read"):
        predict_scene(detector(), *addresses(server), tmp_path / "map.tif", SMALL)
    assert not [*tmp_path.glob(".map.tif.images/images/*")]


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_faults(store, detector, tmp_path, monkeypatch, caplog, scheme):
    """Of the first request of a file, and of later ones. Signatures are not shown."""
    first, second = addresses(store, scheme)
    first = f"{first}?X-Amz-Signature={KEYS[1]}" if scheme == "http" else first
    monkeypatch.setattr("cdzoo.scenes.remote.Limits", lambda: QUICK)
    for faults in ([503, None], [None, 503, None], [None, "cut", None], [None, None, 503, None], [None, None, "cut", None]):
        store.faults = {"20190601.tif": faults}
        with local_images([first, second], tmp_path / "map.tif") as copies:
            np.testing.assert_array_equal(read(copies[0])[0], read(local(store)[0])[0])
    for faults, message in [
        ([None, 503], "gave up after 2 attempts"),
        ([404], "answered 404"),
        ([403], "answered 403"),
        (["whole"], "does not send parts of a file"),
    ]:
        store.faults = {"20190601.tif": faults}
        with pytest.raises(InputError, match=message) as error:
            predict_scene(detector(), first, second, tmp_path / "map.tif", SMALL)
        assert "20190601.tif" in str(error.value) and "SECRET" not in str(error.value)
    assert "SECRET" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "s3"])
@pytest.mark.parametrize("answers", [0, 1, 2, 3])
def test_a_silent_server(store, detector, tmp_path, monkeypatch, scheme, answers):
    """It is given up in the time that the message states, whichever request it does not answer."""
    limits = Limits(seconds=3, retries=1, delay=0.05)
    monkeypatch.setattr("cdzoo.scenes.remote.Limits", lambda: limits)
    store.faults, start = {"20190601.tif": [*[None] * answers, "stall"]}, time.monotonic()
    with pytest.raises(InputError, match=r"20190601\.tif: .*each limited to 3 s without data, 6.05 s per request in all"):
        predict_scene(detector(), *addresses(store, scheme), tmp_path / "map.tif", SMALL)
    assert time.monotonic() - start < 1.1 * limits.longest + 2


def test_keys_of_an_object_store(store, detector, tmp_path, monkeypatch):
    """Requests are signed by GDAL; the answer of the server may have the key."""
    monkeypatch.delenv("AWS_NO_SIGN_REQUEST")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS[1])
    with pytest.warns(UserWarning, match="requests to it are signed"):
        assert predict_scene(detector(), *addresses(store, "s3"), tmp_path / "map.tif", SMALL).changed > 3000
    store.faults, store.text = {"20190601.tif": [403]}, f"<Error><Code>AccessDenied</Code><Key>{KEYS[0]}</Key></Error>"
    monkeypatch.setattr("cdzoo.scenes.remote.Limits", lambda: QUICK)
    with pytest.raises(InputError, match=r"s3://bucket/20190601\.tif: reading failed") as error:
        predict_scene(detector(), *addresses(store, "s3"), tmp_path / "map.tif", SMALL)
    assert not any(key in str(error.value) for key in KEYS)
    with pytest.raises(InputError, match="s3://BUCKET/NAME"):
        scene_area("s3://bucket", BOX)


def test_other_files_than_images(server, raster, detector, tmp_path):
    (server.folder / "page.tif").write_text("<html>" + "x" * 100)
    (server.folder / "other.vrt").write_text("<VRTDataset/>" + " " * 100)
    raster("server/plain.tif", np.zeros((300, 410, 3), np.uint8), crs=None)
    far = rasterio.transform.from_origin(LEFT + 9000, TOP, 1, 1)
    raster("server/far.tif", np.zeros((300, 410, 3), np.uint8), transform=far)
    for name, message in [
        ("page.tif", "neither a GeoTIFF"),
        ("other.vrt", "neither a GeoTIFF"),
        ("plain.tif", "no coordinate reference"),
        ("far.tif", "does not overlap the first image"),
    ]:
        with pytest.raises(InputError, match=message):
            predict_scene(detector(), local(server)[0], f"{server.address}/{name}", tmp_path / "map.tif", SMALL)


def test_alpha_masks_and_metadata_are_those_of_the_file(server, tmp_path):
    """A band of alpha; a mask; scale, offset, names and tags."""
    profile = {"driver": "GTiff", "height": 50, "width": 60, "crs": "EPSG:32633"}
    profile |= {"tiled": True, "blockxsize": 16, "blockysize": 16, "transform": rasterio.transform.from_origin(LEFT, TOP, 1, 1)}
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 3000, (2, 50, 60), dtype=np.uint16)
    internal = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True)
    with internal, rasterio.open(server.folder / "m.tif", "w", count=2, dtype="uint16", **profile) as file:
        file.write(pixels)
        file.write_mask(pixels[0] > 500)
        file.scales, file.offsets, file.descriptions = (0.0001, 0.0002), (-0.1, 0), ("B04", "B08")
        file.update_tags(ACQUISITION_DATE="2020-05-04")
    colors = np.concatenate([rng.integers(0, 255, (3, 50, 60), dtype=np.uint8), np.full((1, 50, 60), 255, np.uint8)])
    colors[3, 10:20] = 0
    profile |= {"photometric": "RGB", "alpha": "YES"}
    with rasterio.open(server.folder / "rgba.tif", "w", count=4, dtype="uint8", **profile) as file:
        file.write(colors)
    names = ["m.tif", "rgba.tif"]
    with local_images([f"{server.address}/{name}" for name in names], tmp_path / "map.tif") as copies:
        for name, copy in zip(names, copies, strict=True):
            with rasterio.open(server.folder / name) as file, rasterio.open(copy) as found:
                assert copy.name == name and found.transform == file.transform
                np.testing.assert_array_equal(found.read(), file.read())
                np.testing.assert_array_equal(found.read_masks(), file.read_masks())
                assert (found.scales, found.offsets, found.descriptions) == (file.scales, file.offsets, file.descriptions)
                assert found.tags().items() >= file.tags().items()
                assert (found.colorinterp[-1].name == "alpha") == (name == "rgba.tif")


def test_series(server, raster, detector, tmp_path, scene):
    """Each image is read once."""
    raster("server/bucket/20250601.tif", scene[1])
    names = [*addresses(server), f"{server.address}/bucket/20250601.tif"]
    result = predict_series(detector(), names, tmp_path / "s.tif", SMALL, area=scene_area(names[0], BOX))
    assert result.names == ("2019-06-01", "2024-06-01", "2025-06-01") and result.counts.kinds["lasting change"] > 8000
    paths = [*local(server), server.folder / "bucket/20250601.tif"]
    predict_series(detector(), paths, tmp_path / "t.tif", SMALL, area=scene_area(paths[0], BOX))
    for ending in ("", "_first_date", "_last_before"):
        np.testing.assert_array_equal(read(tmp_path / f"s{ending}.tif")[0], read(tmp_path / f"t{ending}.tif")[0])
    assert not [*tmp_path.glob(".*")] and len(server.asked) < 25
    with pytest.raises(InputError, match="in the series twice"):
        predict_series(detector(), [names[0], names[0]], tmp_path / "s.tif", SMALL)


def test_the_command_of_the_page(store, detector, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    (shown,) = [words for block in read_blocks("docs/stac.md") for words in commands(block.text) if "--stac" not in words]
    for year, start in ((2019, f"{store.address}/bucket"), (2024, "s3://bucket")):
        place = next(index for index, word in enumerate(shown) if f"{year}.tif" in word)
        shown[place] = f"{start}/{year}0601.tif"
    assert main(shown[1:]) == 0
    assert "pixels with data changed" in capsys.readouterr().out and read("change.tif")[0].shape == (1, 192, 237)


def test_the_command(server, detector, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    geopandas.GeoDataFrame({"name": ["a"]}, geometry=[box(*BOX)], crs=32633).to_file("area.gpkg")
    words = ["predict", f"{addresses(server)[0]}?sig=SECRET", str(local(server)[1]), "--tile", "128"]
    assert main([*words, "--aoi", "area.gpkg", "-o", "c.tif", "--footprints", "area.gpkg"]) == 0
    out = capsys.readouterr().out
    assert "47,500 pixels with data changed" in out and "c_footprints.gpkg (1 polygons: 1 with change" in out
    assert "SECRET" not in out + str(read("c.tif")[2])
    assert main([*words, "-o", "c.png"]) == 2 and "name the output .tif" in capsys.readouterr().err
    assert main(["predict", "--series", *words[1:], "-o", "s.tif"]) == 0
    assert "pair 1 of 1: 2019-06-01, 2024-06-01" in capsys.readouterr().out

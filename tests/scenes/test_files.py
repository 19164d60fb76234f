"""Files of scenes: nothing is overwritten, mixed up, half-written or written twice at once."""

import dataclasses
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
from known_backbones import Convolutions
from PIL import Image

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.io.outputs import exclusive
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.geotiff import block_maximum

SMALL = SceneCfg(tile=64, overlap=16, batch_size=2, progress=False)


class Stop(Exception):
    pass


@pytest.fixture
def pair(raster, scene):
    return raster("a.tif", scene[0][:250, :170]), raster("b.tif", scene[1][:250, :170])


def interrupt(model, calls, *words, **options):
    left = iter(range(calls))

    def stop(*_):
        if next(left, None) is None:
            raise Stop

    handle = model.register_forward_pre_hook(stop)
    with pytest.raises(Stop):
        predict_scene(model, *words, **options)
    handle.remove()


def values(path):
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.parametrize(
    "words",
    [
        {"output": "a.tif"},
        {"output": "folder/../b.tif"},
        {"output": "source.tif"},  # of b.vrt
        {"output": "m.tif", "probability": "link.tif"},
        {"output": "m.tif", "probability": "./m.tif"},
        {"output": "m.tif", "report": "m.html", "polygons": "taken.gpkg"},
        {"output": "m" * 300 + ".tif"},
        {"output": "\udce9.tif"},
    ],
)
def test_outputs_are_refused_before_the_work(pair, tmp_path, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken.gpkg").mkdir()
    os.rename(pair[1], tmp_path / "source.tif")
    rasterio.shutil.copy(tmp_path / "source.tif", tmp_path / "b.vrt", driver="VRT")
    (tmp_path / "b.tif").write_bytes((tmp_path / "source.tif").read_bytes())
    (tmp_path / "link.tif").symlink_to(pair[0])
    kept = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    after = "b.tif" if "b.tif" in words["output"] else "b.vrt"
    with pytest.raises(InputError):
        predict_scene("none", pair[0], tmp_path / after, **{name: tmp_path / path for name, path in words.items()})
    assert {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == kept


@pytest.mark.parametrize("name", ["change_overlay.png", "change_probability.png", ".change.png.lock"])
def test_files_beside_a_picture_are_no_inputs(tmp_path, capsys, name):
    image = Image.new("RGB", (64, 64))
    image.save(tmp_path / "a.png"), image.save(tmp_path / name, "PNG")
    kept = (tmp_path / name).read_bytes()
    assert main(["predict", str(tmp_path / "a.png"), str(tmp_path / name), "-o", str(tmp_path / "change.png")]) == 2
    assert name in capsys.readouterr().err and (tmp_path / name).read_bytes() == kept


def test_pictures_with_long_names_are_not_mixed_up(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    weights, target = cdzoo.create_model("fc_siam_diff").save_pretrained(tmp_path / "model"), tmp_path / f"{'n' * 200}.png"
    words = ["predict", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "-o", str(target), "--model", str(weights)]
    assert main(words) == 0
    assert "tiles of 512" in capsys.readouterr().out
    modes = [Image.open(target.with_stem(f"{target.stem}{end}")).mode for end in ("", "_probability", "_overlay")]
    assert modes == ["L", "L", "RGB"]


def test_a_scene_that_another_run_writes_is_refused(detector, pair, tmp_path):
    words = (detector(), *pair, tmp_path / "m.tif", SMALL, tmp_path / "p.tif")
    with exclusive(tmp_path / "p.tif"), ThreadPoolExecutor(1) as other:
        with pytest.raises(InputError, match=r"p\.tif: another run writes here"):
            other.submit(predict_scene, *words).result()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def damage(file, how):
    data = file.read_bytes()
    place = len(data) // 2
    file.write_bytes(
        {"cut": data[:place], "empty": b"", "flipped": data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]}[how]
    )


@pytest.mark.parametrize("how", ["cut", "empty", "flipped"])
def test_damaged_blocks_are_predicted_again(detector, pair, tmp_path, how):
    torch.manual_seed(1)
    model = detector(Convolutions())
    predict_scene(model, *pair, tmp_path / "fresh.tif", SMALL)
    interrupt(model, 7, *pair, tmp_path / "m.tif", SMALL)
    parts = sorted((tmp_path / ".m.tif.blocks").glob("block_*"))
    assert len(parts) > 1
    damage(parts[0], how)
    assert predict_scene(model, *pair, tmp_path / "m.tif", SMALL).resumed == len(parts) - 1
    assert (tmp_path / "m.tif").read_bytes() == (tmp_path / "fresh.tif").read_bytes()


@pytest.mark.parametrize("what", ["pixels", "source", "mask", "config", "code"])
def test_blocks_made_from_something_else_are_not_kept(detector, raster, scene, tmp_path, what):
    """What the map depends on: the content of all files, and all of the model."""
    before, after = raster("a.tif", scene[0]), raster("source.tif", scene[1])
    rasterio.shutil.copy(after, tmp_path / "b.vrt", driver="VRT")
    second, model = tmp_path / "b.vrt" if what == "source" else after, detector()
    interrupt(model, 9, before, second, tmp_path / "m.tif", SMALL)
    state = after.stat()
    if what in ("pixels", "source"):
        raster("source.tif", scene[0])
        os.utime(after, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert after.stat().st_size == state.st_size
    elif what == "mask":
        raster("mask.tif", np.full((300, 410, 1), 0, np.uint8)).rename(tmp_path / "source.tif.msk")
        with rasterio.open(tmp_path / "source.tif.msk", "r+") as file:
            file.update_tags(INTERNAL_MASK_FLAGS_1=2, INTERNAL_MASK_FLAGS_2=2, INTERNAL_MASK_FLAGS_3=2)
    elif what == "config":
        model.config = dataclasses.replace(model.config, mean=(0.4,))
    else:
        model.head.classify = torch.nn.Sequential(model.head.classify, torch.nn.Tanh())
    assert predict_scene(model, before, second, tmp_path / "m.tif", SMALL).resumed == 0


def test_a_folder_of_somebody_else_is_not_removed(detector, pair, tmp_path):
    (tmp_path / ".m.tif.blocks").mkdir()
    (tmp_path / ".m.tif.blocks" / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match=r"blocks: stores no blocks of an interrupted run"):
        predict_scene(detector(), *pair, tmp_path / "m.tif", SMALL)
    assert (tmp_path / ".m.tif.blocks" / "diary.txt").read_text() == "mine"


def test_a_full_disk_leaves_no_map_and_keeps_the_blocks(detector, pair, tmp_path):
    """The largest size of a file stands for the space on the disk."""
    model, words = detector(Convolutions()), (*pair, tmp_path / "m.tif")
    cfg = dataclasses.replace(SMALL, probability="float32")
    predict_scene(model, *words, cfg, tmp_path / "p.tif")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "p.tif").stat().st_size * 3 // 4, limits[1]))
    for name in ("m.tif", "m.tif.aux.xml", "m.qml", "p.tif", "p.qml"):
        (tmp_path / name).unlink()
    try:
        with pytest.raises(InputError, match=r"p\.tif: "):
            predict_scene(model, *words, cfg, tmp_path / "p.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".m.tif.blocks", "a.tif", "b.tif"]
    assert predict_scene(model, *words, cfg, tmp_path / "p.tif").resumed > 1


def test_an_output_may_have_the_longest_name(detector, pair, tmp_path):
    output = tmp_path / f"{'n' * 251}.tif"
    assert predict_scene(detector(), *pair, output, SMALL, report=tmp_path / "r.html").mask == output
    assert sorted(tmp_path.iterdir()) == sorted([*pair, output, output.with_suffix(".qml"), tmp_path / "r.html"])


def test_a_failed_product_leaves_the_earlier_outputs(detector, pair, tmp_path, monkeypatch):
    model, words = detector(), (*pair, tmp_path / "m.tif")
    predict_scene(model, *words, SMALL, polygons=tmp_path / "p.gpkg")
    kept = [(tmp_path / name).read_bytes() for name in ("m.tif", "p.gpkg")]
    monkeypatch.setattr("cdzoo.scenes.products.write_report", lambda *_: (_ for _ in ()).throw(ValueError("no")))
    other = dataclasses.replace(SMALL, threshold=0.9)
    with pytest.raises(InputError, match=r"r\.html: cannot be written \(no; [\d,]+ MB are free"):
        predict_scene(model, *words, other, polygons=tmp_path / "p.gpkg", report=tmp_path / "r.html")
    assert [(tmp_path / name).read_bytes() for name in ("m.tif", "p.gpkg")] == kept and not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_overviews_keep_small_changes(dtype):
    nodata = 255 if dtype == "uint8" else np.nan
    image = np.zeros((5, 7), dtype)
    image[4, 6], image[0:2, 0:2], image[0, 2], image[0, 4] = 1, nodata, nodata, 1
    found = block_maximum(image, 2)
    expected = np.zeros((3, 4), dtype)
    expected[0, 0], expected[0, 2], expected[2, 3] = nodata, 1, 1
    assert np.array_equal(found, expected, equal_nan=dtype == "float32") and found.dtype == image.dtype


def test_the_map_has_overviews_with_all_changes(detector, raster, tmp_path):
    before = np.full((700, 1100, 3), 60, np.uint8)
    after = before.copy()
    after[51::100, 33::100] = 200
    cfg = SceneCfg(tile=1024, progress=False)
    predict_scene(detector(), raster("a.tif", before), raster("b.tif", after), tmp_path / "m.tif", cfg)
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.overviews(1) == [2, 4] and file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    for level in range(2):
        with rasterio.open(tmp_path / "m.tif", overview_level=level) as file:
            assert (file.read(1) == 1).sum() == 7 * 11


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_predict_in_their_own_type(detector, dtype):
    rng, model = np.random.default_rng(0), detector()
    pair = [rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(2)]
    expected = cdzoo.predict_pair(model, *pair).probability
    found = cdzoo.predict_pair(model.to(dtype), *pair).probability
    assert found.dtype == np.float32 and np.abs(found - expected).max() < 0.1


def test_mixed_types_and_nan_are_refused(detector, monkeypatch):
    image, mixed = np.zeros((40, 50, 3), np.uint8), detector(Convolutions())
    mixed.head.half()
    with pytest.raises(ConfigError, match=r"parameters of dtype float16, float32; convert it with model\.float\(\)"):
        cdzoo.predict_pair(mixed, image, image)
    monkeypatch.setattr(cdzoo.ChangeDetector, "probabilities", lambda self, _: torch.full((1, 40, 50), torch.nan))
    with pytest.raises(InputError, match="predicts NaN"):
        cdzoo.predict_pair(detector(), image, image)


@pytest.mark.parametrize("tile", [None, 64])
def test_pictures_and_maps_of_a_pair_are_equal(detector, raster, scene, tmp_path, tile):
    torch.manual_seed(0)
    model, (before, after) = detector(Convolutions()), (image[:150, :170] for image in scene[:2])
    change = cdzoo.predict_pair(model, before, after, tile=tile)
    cfg = SceneCfg(tile=tile, probability="float32", progress=False)
    predict_scene(model, raster("a.tif", before), raster("b.tif", after), tmp_path / "m.tif", cfg, tmp_path / "p.tif")
    assert np.array_equal(values(tmp_path / "m.tif"), change.mask)
    assert np.array_equal(values(tmp_path / "p.tif"), change.probability)


def test_pictures_of_rasters_on_other_grids_are_refused(detector, raster, scene):
    moved = rasterio.transform.from_origin(500_020, 5_000_000, 1, 1)
    with pytest.raises(CdzooError, match=r"lies \+20\.0 columns .*an output \.tif"):
        cdzoo.predict_pair(detector(), raster("a.tif", scene[0]), raster("b.tif", scene[1], transform=moved))

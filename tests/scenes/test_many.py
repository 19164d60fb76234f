"""Lists of scenes: validation, failed scenes, resumption, and workers that die."""

import dataclasses
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from shapely.geometry import box

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes import PolygonCfg, SceneCfg, predict_scene
from cdzoo.scenes.cluster import predict_on_ray
from cdzoo.scenes.many import read_manifest

SIZE = 96


@pytest.fixture
def manifest(raster, tmp_path):
    """Write `count` pairs with one changed square each, and their list."""

    def write(count):
        lines = ["before,after,output"]
        for number in range(count):
            before = np.full((SIZE, SIZE, 3), 90, np.uint8)
            after = before.copy()
            after[number : number + 30, 10:60] = 230
            raster(f"a{number}.tif", before), raster(f"b{number}.tif", after)
            lines.append(f"a{number}.tif,b{number}.tif,maps/m{number}.tif")
        (tmp_path / "scenes.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "scenes.csv"

    return write


@pytest.fixture
def weights(tmp_path):
    """Save a small model, which workers load."""
    model = cdzoo.create_model("glmamba_tiny", pretrained=True)
    return str(model.save_pretrained(tmp_path / "model"))


def maps(folder):
    return {file.name: rasterio.open(file).read(1) for file in sorted(Path(folder).glob("*.tif"))}


def test_a_list_is_completed_when_repeated(manifest, weights, tmp_path, capsys):
    words = ["predict", "--manifest", str(manifest(3)), "--model", weights]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "3 scenes: 3 predicted, 0 finished before, 0 failed" in out and "[3/3]" in out and "% changed" in out
    assert out.count(f"weights {weights}") == 1
    first = maps(tmp_path / "maps")
    assert len(first) == 3
    (tmp_path / "maps" / "m1.tif").unlink()
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "3 scenes: 1 predicted, 2 finished before, 0 failed" in out and "m0.tif: finished before" in out
    again = maps(tmp_path / "maps")
    assert all((again[name] == first[name]).all() for name in first)


def test_columns_and_options_of_all_scenes(manifest, weights, raster, tmp_path, capsys):
    """A table of polygons for each scene; values of a line come first."""
    path = manifest(2)
    left, top = 500_000, 5_000_000
    for name, right in (("all", left + 96), ("half", left + 48)):
        frame = geopandas.GeoDataFrame({"name": [name]}, geometry=[box(left, top - 96, right, top)], crs=32633)
        frame.to_file(tmp_path / f"{name}.gpkg")
    path.write_text(
        "before,after,output,footprints,footprint_output,bbox\na0.tif,b0.tif,m0.tif,,,\n"
        f"a1.tif,b1.tif,m1.tif,half.gpkg,t.csv,{left} {top - 90} {left + 80} {top}\n"
    )
    words = ["predict", "--manifest", str(path), "--model", weights, "--footprints", str(tmp_path / "all.gpkg")]
    assert main([*words, "--aoi", str(tmp_path / "half.gpkg")]) == 0
    assert "2 scenes: 2 predicted" in capsys.readouterr().out
    table = geopandas.read_file(tmp_path / "m0_footprints.gpkg")
    assert table["name"].tolist() == ["all"] and table["cd_pixels"].tolist() == [48 * 96]
    assert "half" in (tmp_path / "t.csv").read_text() and not (tmp_path / "m1_footprints.gpkg").exists()
    assert rasterio.open(tmp_path / "m0.tif").shape == (96, 48) and rasterio.open(tmp_path / "m1.tif").shape == (90, 48)
    path.write_text("before,after,output,bbox\na0.tif,b0.tif,m2.tif,1 2 3\n")
    assert main(words) == 1 and "bbox 1 2 3: not four numbers" in capsys.readouterr().out


def test_a_failed_scene_is_reported_and_the_others_are_predicted(manifest, weights, tmp_path, capsys):
    path = manifest(3)
    (tmp_path / "b1.tif").write_bytes(b"no raster")
    assert main(["predict", "--manifest", str(path), "--model", weights]) == 1
    captured = capsys.readouterr()
    assert "m1.tif: failed: " in captured.out and "b1.tif: not a raster" in captured.out
    assert "1 of 3 scenes failed; run the same command again to retry them" in captured.err
    assert sorted(maps(tmp_path / "maps")) == ["m0.tif", "m2.tif"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("before,after\na0.tif,b0.tif\n", r"missing column\(s\) output; found before, after"),
        ("before,after,output,color\n", r"unknown column\(s\) color"),
        ("before,after,output,output\n", "a column occurs twice"),
        ("before;after;output\n", r"missing column\(s\) before, after, output; found before;after;output"),
        ("before,after,output\na0.tif,b0.tif,m.tif,p.tif\n", r"line 2: more values than columns \(p\.tif\)"),
        ("before,after,output\na0.tif,b0.tif,m\0.tif\n", "line 2: the value for output contains a NUL"),
        ('before,after,output\n\n"a\n0.tif",b0.tif,m.tif\n', r"(?s)line 4: .*: no such file"),
        ("before,after,output\na0.tif,b0.tif,b0.tif\n", r"line 2: .*b0\.tif is an image of line 2 as well"),
        ("before,after,output\na0.tif,b0.tif,scenes.csv\n", r"line 2: .*scenes\.csv is the list itself as well"),
        ("before,after,output,probability\na0.tif,b0.tif,m.tif,./m.tif\n", r"line 2: .*m\.tif is an output of line 2 as well"),
        ("before,after,output\na0.tif,,m.tif\n", "line 2: no value for after"),
        ("before,after,output\na0.tif,none.tif,m.tif\n", r"line 2: .*none\.tif: no such file"),
        ("before,after,output\n", "the list has no scenes"),
        ("", "missing column"),
    ],
)
def test_invalid_lists(manifest, text, message):
    path = manifest(1)
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(path)


def test_lines_with_problems_do_not_stop_the_others(manifest, weights, raster, tmp_path, capsys):
    path = manifest(3)
    raster("a2.tif", np.zeros((SIZE, SIZE, 2), np.uint8))  # two bands
    path.write_text(
        "before,after,output,report\na0.tif,none.tif,m0.tif,\na0.tif,b0.tif,m1.tif,./a1.tif\na2.tif,b2.tif,m2.tif,\n"
        f"a0.tif,b0.tif,{'m' * 300}.tif,\na1.tif,b1.tif,m3.tif,\na1.tif,b1.tif,sub/../m3.tif,\na0.tif,b0.tif,scenes.csv/m.tif,\n"
    )
    kept = (tmp_path / "a1.tif").read_bytes()
    assert main(["predict", "--manifest", str(path), "--model", weights]) == 1
    out = capsys.readouterr().out
    for text in ("line 2: ", "none.tif: no such file", "line 3: ", "a1.tif is an image of line 6", "line 7: ", "m2.tif: failed"):
        assert text in out
    assert "7 scenes: 1 predicted, 0 finished before, 6 failed" in out
    assert sorted(file.name for file in tmp_path.glob("m*.tif")) == ["m3.tif"] and (tmp_path / "a1.tif").read_bytes() == kept


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), ZeroDivisionError(), RuntimeError("CUDA"), OSError("gone")])
def test_no_error_of_a_scene_ends_the_list(manifest, weights, tmp_path, capsys, monkeypatch, error):
    def fail(model, before, *args, **options):
        if "a0" in str(before):
            raise error
        return predict_scene(model, before, *args, **options)

    monkeypatch.setattr("cdzoo.scenes.many.predict_scene", fail)
    assert main(["predict", "--manifest", str(manifest(2)), "--model", weights]) == 1
    assert f"m0.tif: failed: {type(error).__name__}: " in capsys.readouterr().out and "m1.tif" in maps(tmp_path / "maps")


def test_scenes_are_predicted_again_when_anything_changes(detector, manifest, tmp_path):
    """Settings, weights, pixels (of the same size and time) and products; not where the files lie."""
    (scene,), _ = read_manifest(manifest(1))
    (tmp_path / "maps").mkdir()
    model, cfg = detector(), SceneCfg(progress=False)
    words = {"before": scene.before, "after": scene.after, "output": scene.output, "polygons": str(tmp_path / "p.gpkg")}

    def finished(model=model, cfg=cfg, **changes):
        first = predict_scene(model, cfg=cfg, skip_finished=True, **{**words, **changes}).finished
        assert predict_scene(model, cfg=cfg, skip_finished=True, **{**words, **changes}).finished
        return first

    assert not finished() and finished()
    assert not finished(cfg=SceneCfg(progress=False, threshold=0.9)) and not finished()
    assert not finished(polygon_cfg=PolygonCfg(min_area=5)) and not finished()
    assert not finished(report=str(tmp_path / "r.html")) and not finished()
    other = detector()
    with torch.no_grad():
        other.head.classify.bias.fill_(-9)
    assert not finished(other) and not finished()
    other = detector()
    other.config = dataclasses.replace(other.config, mean=(0.1,))
    assert not finished(other) and not finished()
    state = os.stat(scene.after)
    with rasterio.open(scene.after, "r+") as file:
        pixels = file.read()
        pixels[:, 5, 5] = 7
        file.write(pixels)
    os.utime(scene.after, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert os.stat(scene.after).st_size == state.st_size and not finished()
    Path(scene.output).write_bytes(b"cut off")
    assert not finished()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "two images and an output"),
        (["a.tif", "b.tif", "-o", "c.tif", "--ray"], "--ray predicts a list of scenes"),
        (["--manifest", "x.csv", "-o", "c.tif"], "--manifest names the images and outputs"),
        (["a.tif", "b.tif", "-o", "c.tif", "--cache", "folder"], "--cache keeps images for the other scenes of a list"),
        (["--manifest", "none.csv"], "cannot be read as a list of scenes"),
    ],
)
def test_invalid_options(capsys, words, message):
    assert main(["predict", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_ray_resumes_the_scene_of_a_killed_worker(manifest, weights, tmp_path, monkeypatch, capsys):
    """One of two workers is killed; all fifty maps equal those predicted without Ray."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(Path(cdzoo.__file__).parents[1]))
    words = ["predict", "--manifest", str(manifest(50)), "--model", weights]
    killed = []

    def kill():
        while len(list((tmp_path / "maps").glob("m*.tif"))) < 10:
            time.sleep(0.05)
        killed.append(_workers()[0])
        os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    try:
        assert main([*words, "--ray", "--workers", "2"]) == 0
    finally:
        ray.shutdown()
    assert killed and "50 scenes: 50 predicted, 0 finished before" in capsys.readouterr().out
    by_ray = maps(tmp_path / "maps")
    (tmp_path / "maps").rename(tmp_path / "by_ray")
    assert main(words) == 0
    sequential = maps(tmp_path / "maps")
    assert len(by_ray) == 50 and by_ray.keys() == sequential.keys()
    assert all((by_ray[name] == sequential[name]).all() for name in by_ray)


@pytest.mark.parametrize(("address", "expected"), [(None, "local"), ("ray://head:10001", "ray://head:10001")])
def test_ray_without_an_address_joins_no_cluster_of_others(monkeypatch, address, expected):
    asked = []

    def init(**options):
        asked.append(options["address"])
        raise ConnectionError("not now")

    monkeypatch.setattr("cdzoo.scenes.cluster.require", lambda *_: SimpleNamespace(init=init))
    with pytest.raises(InputError, match="not now"):
        next(predict_on_ray(lambda: None, [], SceneCfg(), address=address))
    assert asked == [expected]


def _workers():
    """Return the process ids of the workers."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = file.read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::") and b"_RayWorker" in name:
            found.append(int(file.parent.name))
    return found

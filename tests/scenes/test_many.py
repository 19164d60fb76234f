"""Lists of scenes: validation, failed scenes, resumption, and workers that die."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes.many import read_manifest, unfinished

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
    assert "3 scenes, 0 of them" in out and "[3/3]" in out and "% changed" in out and out.count(f"weights {weights}") == 1
    first = maps(tmp_path / "maps")
    assert len(first) == 3
    (tmp_path / "maps" / "m1.tif").unlink()
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "3 scenes, 2 of them" in out and out.count("m1.tif") == 1 and "m0.tif" not in out
    again = maps(tmp_path / "maps")
    assert all((again[name] == first[name]).all() for name in first)


def test_a_failed_scene_is_reported_and_the_others_are_predicted(manifest, weights, tmp_path, capsys):
    path = manifest(3)
    (tmp_path / "b1.tif").write_bytes(b"no raster")
    assert main(["predict", "--manifest", str(path), "--model", weights]) == 1
    captured = capsys.readouterr()
    assert "m1.tif: failed: " in captured.out and "b1.tif: cannot be read" in captured.out
    assert "1 of 3 scenes failed; run the same command again to retry them" in captured.err
    assert sorted(maps(tmp_path / "maps")) == ["m0.tif", "m2.tif"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("before,after\na0.tif,b0.tif\n", r"missing column\(s\) output; found before, after"),
        ("before,after,output,color\n", r"unknown column\(s\) color"),
        ("before,after,output\na0.tif,,m.tif\n", "line 2: no value for after"),
        ("before,after,output\na0.tif,none.tif,m.tif\n", r"line 2: .*none\.tif: no such file"),
        ("before,after,output\na0.tif,b0.tif,m.tif\na0.tif,b0.tif,m.tif\n", r"line 3: .*m\.tif is already an output of line 2"),
        ("before,after,output\n", "the list has no scenes"),
        ("", "missing column"),
    ],
)
def test_invalid_lists(manifest, text, message):
    path = manifest(1)
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(path)


def test_scenes_with_missing_outputs_are_unfinished(manifest, tmp_path):
    path = manifest(1)
    path.write_text("before,after,output,polygons\na0.tif,b0.tif,m.tif,p.gpkg\n")
    (scene,) = read_manifest(path)
    assert scene.polygons == str(tmp_path / "p.gpkg") and scene.report is None
    (tmp_path / "m.tif").touch()
    assert unfinished([scene]) == [scene]
    (tmp_path / "p.gpkg").touch()
    assert unfinished([scene]) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "two images and an output"),
        (["a.tif", "b.tif", "-o", "c.tif", "--ray"], "--ray predicts a list of scenes"),
        (["--manifest", "x.csv", "-o", "c.tif"], "--manifest names the images and outputs"),
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
    assert killed and "50 scenes, 0 of them" in capsys.readouterr().out
    by_ray = maps(tmp_path / "maps")
    (tmp_path / "maps").rename(tmp_path / "by_ray")
    assert main(words) == 0
    sequential = maps(tmp_path / "maps")
    assert len(by_ray) == 50 and by_ray.keys() == sequential.keys()
    assert all((by_ray[name] == sequential[name]).all() for name in by_ray)


def _workers():
    """Return the process ids of the workers."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = file.read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::") and b"MapWorker" in name:
            found.append(int(file.parent.name))
    return found

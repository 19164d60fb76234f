"""Maps, styles and the Processing script in QGIS itself, without a screen."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from known_tasks import NAMES, known_model

import cdzoo
from cdzoo.scenes import SceneCfg, predict_scene

SCRIPT = Path(cdzoo.__file__).parents[1] / "qgis" / "cdzoo_predict.py"
PYTHON = "/usr/bin/python3"  # which has PyQGIS where QGIS is installed as a package
SMALL = SceneCfg(tile=128, overlap=32, progress=False)


@pytest.fixture(scope="module")
def qgis(tmp_path_factory):
    """Run a program with a fresh profile of QGIS that has the script."""
    # Debian's wrapper without `.bin` passes an option that the program does not know.
    program = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
    if program is None or subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True).returncode:
        pytest.skip("QGIS is not installed")
    home = tmp_path_factory.mktemp("home")
    scripts = home / "QGIS" / "QGIS3" / "profiles" / "default" / "processing" / "scripts"
    scripts.mkdir(parents=True), (home / "run").mkdir(mode=0o700)
    shutil.copy(SCRIPT, scripts)
    variables = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    # QGIS starts the Python that it finds first, which must not be that of a virtual environment without PyQGIS.
    variables |= {"PATH": os.defpath, "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8", "PYTHONPATH": "/of/qgis"}

    def run(*words):
        command = [program if word == "qgis_process" else str(word) for word in words]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def pair(raster):
    rng = np.random.default_rng(0)
    before = rng.integers(80, 110, (180, 180, 3), dtype=np.uint8)
    after = before.copy()
    after[60:120, 60:120] += np.array([140, 80, 80], np.uint8)
    return raster("a.tif", before), raster("b.tif", after)


@pytest.fixture
def interpreter(tmp_path):
    """Write a program that stands for the Python of cdzoo."""

    def write(body):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        return program

    return write


@pytest.mark.slow
def test_qgis_shows_the_names_colors_and_values(qgis, detector, pair, tmp_path):
    predict_scene(detector(), *pair, tmp_path / "c.tif", SMALL, tmp_path / "p.tif", tmp_path / "c.geojson")
    predict_scene(detector(), *pair, tmp_path / "d.tif", SMALL, polygons=tmp_path / "d.gpkg")
    model = known_model("multiclass")
    predict_scene(model, *pair, tmp_path / "m.tif", SMALL, tmp_path / "mp.tif", tmp_path / "m.gpkg")
    files = [str(tmp_path / name) for name in ("c.tif", "p.tif", "c.geojson", "d.gpkg", "m.tif", "mp.tif", "m.gpkg")]
    done = qgis(PYTHON, Path(__file__).with_name("qgis_probe.py"), *files)
    assert done.stdout, done.stderr
    binary, probability, geojson, geopackage, kinds, no_change, areas = json.loads(done.stdout).values()
    assert (binary["renderer"], binary["classes"]) == ("paletted", [[0, "no change", 0], [1, "change", 255]])
    assert binary["band"] == "Band 1: change" and binary["value"] == 1
    assert [name for _, name, _ in kinds["classes"]] == list(NAMES["multiclass"]) and kinds["value"] == 1
    assert (probability["renderer"], probability["band"]) == ("singlebandpseudocolor", "Band 1: probability of change")
    assert 0.9 < probability["value"] <= 1 and no_change["value"] < 0.1
    for layer in (binary, probability, kinds, no_change):
        (red, green, blue, alpha), corner = layer["pixels"]
        assert alpha > 100 and red > max(green, blue) + 50 and corner[3] < 30  # change is red, no change is transparent
    assert geojson["renderer"] == geopackage["renderer"] == "singleSymbol" and geojson["features"] == geopackage["features"] == 1
    assert (areas["renderer"], areas["labels"]) == ("categorizedSymbol", list(NAMES["multiclass"][1:]))
    for layer in (geojson, geopackage, areas):
        assert 10 < layer["pixels"][0][3] < 60  # a translucent fill


@pytest.mark.slow
def test_the_script_predicts_and_reports(qgis, tiny, pair, interpreter, tmp_path):
    python = interpreter(f'OMP_NUM_THREADS=1 PYTHONPATH="{SCRIPT.parents[1]}" exec "{sys.executable}" "$@"')
    words = ["qgis_process", "run", "script:cdzoo_predict", "--", f"BEFORE={pair[0]}", f"AFTER={pair[1]}", f"PYTHON={python}"]
    words += [f"MODEL={tiny().save_pretrained(tmp_path / 'model')}", "THRESHOLD=0.25", "MIN_AREA=3", "OPTIONS=--tile 128"]
    words += [
        f"{name}={tmp_path / file}" for name, file in (("OUTPUT", "c.tif"), ("PROBABILITY", "p.tif"), ("POLYGONS", "c.gpkg"))
    ]
    done = qgis(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 - done" in done.stdout and "(threshold 0.25, tiles of 128)" in done.stdout and "predicting:" not in done.stdout
    assert all((tmp_path / name).is_file() for name in ("c.tif", "c.qml", "p.tif", "p.qml", "c.gpkg"))
    with rasterio.open(tmp_path / "c.tif") as file:
        assert file.tags()["threshold"] == "0.25"
    remembered = qgis("qgis_process", "run", *words[2:6], f"OUTPUT={tmp_path / 'd.tif'}", "MODEL=no_such_model")
    assert remembered.returncode and "no_such_model" in remembered.stdout + remembered.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo No module named cdzoo >&2; exit 1", r"has no cdzoo that starts .*-m pip install 'cdzoo\[geo\]'"),
        ('[ "$3" = --version ] || { echo "cdzoo: error: a full disk" >&2; exit 2; }', "cdzoo: error: a full disk"),
    ],
)
def test_the_script_says_what_is_wrong(qgis, pair, interpreter, tmp_path, body, message):
    words = (f"BEFORE={pair[0]}", f"AFTER={pair[1]}", f"PYTHON={interpreter(body)}", f"OUTPUT={tmp_path / 'c.tif'}")
    done = qgis("qgis_process", "run", "script:cdzoo_predict", "--", *words)
    assert done.returncode and re.search(message, done.stdout + done.stderr), done.stdout + done.stderr


@pytest.mark.slow
def test_a_canceled_run_ends_its_process(qgis, interpreter, tmp_path):
    python = interpreter(f"echo $$ > {tmp_path / 'pid'}; echo 'predicting:  40%'; exec sleep 100")
    code = f"""
import sys, threading, time
sys.path.insert(0, {str(SCRIPT.parent)!r})
from qgis.core import QgsProcessingFeedback
import cdzoo_predict
feedback = QgsProcessingFeedback()
feedback.progressChanged.connect(lambda share: (print(share), feedback.cancel()))
cdzoo_predict.run([{str(python)!r}], feedback)
"""
    start = time.monotonic()
    done = qgis(PYTHON, "-c", code)
    assert done.returncode == 0 and done.stdout.strip() == "40.0" and time.monotonic() - start < 60, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)

"""Ranges and bands of a run in maps of pairs, lists of scenes and series, of local and of remote images."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from range_server import RangeServer

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import InputError
from cdzoo.scenes import SceneCfg
from cdzoo.scenes.trained import TrainedOptions, with_trained

SIDE = 64
BANDS = ("B02", "B03", "B04", "B08")
RANGE = "0 to 5000"
SAID = "as in the training of run: --value-range 0 5000 --bands B04 B03 B02"


def write_bands(path, pixels):
    """Write one file for each band."""
    path.mkdir()
    profile = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": 1, "dtype": "uint16", "crs": "EPSG:32633"}
    for number, name in enumerate(BANDS):
        at = rasterio.transform.from_origin(500_000, 5_000_000, 1, 1)
        with rasterio.open(path / f"{name}.tif", "w", transform=at, **profile) as file:
            file.write(pixels[..., number], 1)


@pytest.fixture
def images(raster, tmp_path, monkeypatch):
    """Write 16-bit dates, as files and as folders of bands, and 8-bit ones, of which all but the first band differ."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    before = rng.integers(200, 2500, (SIDE, SIDE, 4), dtype=np.uint16)
    after = before.copy()
    after[10:40, 20:50, 1:] += 2200
    for name, pixels in (("a", before), ("b", after)):
        with rasterio.open(raster(f"{name}.tif", pixels), "r+") as file:
            file.descriptions = BANDS
        raster(f"{name}8.tif", (pixels[..., :3] // 20).astype(np.uint8))
        write_bands(tmp_path / name, pixels)
    return tmp_path


@pytest.fixture
def run(monkeypatch, images):
    """Store options of the data of a training in `run`."""
    (images / "run").mkdir()
    (images / "run" / "results.json").touch()

    def store(**data):
        found = {"data": "pairs", "value_range": [0, 5000], "bands": ["B04", "B03", "B02"], "bands_after": None} | data
        monkeypatch.setattr("cdzoo.results.Results.read", lambda _: SimpleNamespace(data=found))

    store()
    return store


@pytest.fixture
def known(monkeypatch, detector):
    """Load the model that detects differences of a quarter."""
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())


def listed(*lines):
    Path("scenes.csv").write_text("\n".join(["before,after,output,probability", *lines]) + "\n")
    return ["predict", "--manifest", "scenes.csv", "--model", "run", "--probability-type", "float32"]


def single(before, after, output, *options):
    words = ["predict", before, after, "-o", f"{output}.tif", "--probability", f"{output}_p.tif"]
    assert main([*words, "--probability-type", "float32", "--model", "run", *options]) == 0


def content(name):
    """Return the map, the probability, and the tags with the hash of what determines them."""
    with rasterio.open(f"{name}.tif") as file, rasterio.open(f"{name}_p.tif") as chance:
        return file.read().tobytes(), chance.read().tobytes(), file.tags()


def test_a_map_of_a_list_is_that_of_the_single_command(run, known, capsys):
    pairs = {"file": ("a.tif", "b.tif"), "folder": ("a", "b"), "bits": ("a8.tif", "b8.tif")}
    for name, (before, after) in pairs.items():
        single(before, after, f"one_{name}")
    capsys.readouterr()
    words = listed(*(f"{before},{after},{name}.tif,{name}_p.tif" for name, (before, after) in pairs.items()))
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.count(SAID) == 1 and "2 of 3 scenes as in the training: --value-range" in out
    for name in pairs:
        assert content(name) == content(f"one_{name}")
        assert content(name)[2]["values_before"] == ("0 to 255" if name == "bits" else RANGE)
    assert content("file")[:2] == content("folder")[:2]
    assert main(words) == 0 and "0 predicted, 3 finished before" in capsys.readouterr().out
    run(value_range=[0, 4000])
    assert main(words) == 0 and "2 predicted, 1 finished before" in capsys.readouterr().out
    run(value_range=[0, 4000], bands=["B08", "B03", "B02"])
    listed("a.tif,b.tif,file.tif,file_p.tif", "a8.tif,b8.tif,bits.tif,bits_p.tif")
    assert main(words) == 0 and "1 predicted, 1 finished before" in capsys.readouterr().out
    single("a.tif", "b.tif", "one_file")
    assert content("file") == content("one_file")


def test_options_given_come_first(run, known, capsys):
    words = listed("a.tif,b.tif,m.tif,m_p.tif")
    for options, said in (
        (["--value-range", "0", "4000"], "--bands B04 B03 B02"),
        (["--bands", "[1, 2, 3]"], "--value-range 0 5000"),
        (["--percentiles", "2", "98", "--bands-after", "4", "3", "2"], "--bands B04 B03 B02"),
        (["--reflectance", "auto", "--bands", "4", "3", "2"], ""),
    ):
        single("a.tif", "b.tif", "one", *options)
        of_one = capsys.readouterr().out
        assert (f"as in the training of run: {said}\n" in of_one) if said else "training" not in of_one
        assert main([*words, *options]) == 0
        assert ("as in the training" in (out := capsys.readouterr().out)) == bool(said) and f"run: {said}" in out + "run: "
        assert content("m") == content("one")


def test_pictures_cannot_select_the_bands_of_the_run(run, known, capsys):
    assert main(["predict", "a.tif", "b.tif", "-o", "map.png", "--model", "run"]) == 2
    assert "-o map.png: run was trained on some bands of its images" in capsys.readouterr().err
    run(bands=None)
    assert main(["predict", "a8.tif", "b8.tif", "-o", "map.png", "--model", "run"]) == 0
    assert Path("map.png").is_file()


def test_options_of_the_second_date(run, known):
    """Those of its own, also without any of the first one."""
    run(bands_after=["B08", "B03", "B02"], value_range_after=[0, 4000])
    single("a.tif", "b.tif", "one")
    assert main(listed("a.tif,b.tif,m.tif,m_p.tif")) == 0
    assert content("m") == content("one") and content("m")[2]["values_after"] == "0 to 4000"
    single("a.tif", "b.tif", "given", "--bands-after", "B08", "B03", "B02", "--bands", "B04", "B03", "B02")
    assert content("given")[:2] == content("one")[:2]
    found, text = with_trained(SceneCfg(), TrainedOptions(bands={"bands_after": (2, 1)}), "a.tif")
    assert found.bands_after == (2, 1) and found.bands is None and text == "--bands-after 2 1"


def test_a_series_is_read_as_the_training_of_its_run(run, known, capsys):
    single("a.tif", "b.tif", "one")
    capsys.readouterr()
    assert main(["predict", "--series", "a.tif", "b.tif", "-o", "s.tif", "--model", "run"]) == 0
    assert SAID in capsys.readouterr().out
    with rasterio.open("s.tif") as file:
        assert file.read().tobytes() == content("one")[0] and file.tags()["values_before"] == RANGE


def test_remote_images(run, known, images, monkeypatch, capsys):
    """Of one and of a list, as of local files; a server without the image is named once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    single("a.tif", "b.tif", "one")
    with RangeServer(images) as server:
        before, after = (f"{server.address}/{name}.tif" for name in "ab")
        single(before, after, "remote")
        assert capsys.readouterr().out.count(SAID) == 2
        lines = (f"{before},{after},m.tif,m_p.tif", f"{server.address}/none.tif,{after},n.tif,n_p.tif")
        words = [*listed(*lines), "--cache", str(images / "cache")]
        assert main(words) == 1
        out = capsys.readouterr().out
        assert SAID in out and "none.tif: the server answered 404" in out
        assert content("remote")[:2] == content("m")[:2] == content("one")[:2]
        run(value_range=[0, 4000])
        assert main(words) == 1 and "1 predicted, 0 finished before" in capsys.readouterr().out
        with pytest.raises(InputError, match="404"):
            with_trained(SceneCfg(), TrainedOptions({"value_range": (0, 1)}), f"{server.address}/none.tif")


@pytest.mark.slow
def test_the_workers_of_ray_have_the_options_of_the_run(images, monkeypatch, capsys):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(Path(cdzoo.__file__).parents[1]))
    cdzoo.create_model("glmamba_tiny", pretrained=True).save_pretrained(images / "run")
    trained = TrainedOptions({"value_range": (0, 5000)}, {"bands": ("B04", "B03", "B02")})
    monkeypatch.setattr("cdzoo.scenes.trained.trained_options", lambda _: trained)
    words = listed(*(f"a.tif,b.tif,m{number}.tif,m{number}_p.tif" for number in range(4)))
    try:
        assert main([*words, "--ray", "--workers", "2"]) == 0
    finally:
        ray.shutdown()
    assert capsys.readouterr().out.count(SAID) == 1
    single("a.tif", "b.tif", "one")
    assert all(content(f"m{number}") == content("one") for number in range(4))

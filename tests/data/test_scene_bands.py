"""Bands of scenes that are cut as training data: by number, and by name in one file or in files of their own."""

import gc
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")

import cdzoo  # noqa: E402
from cdzoo.cli.main import main  # noqa: E402
from cdzoo.data.config import DataCfg  # noqa: E402
from cdzoo.data.open import open_data  # noqa: E402
from cdzoo.errors import InputError  # noqa: E402
from cdzoo.io.band_files import one_raster  # noqa: E402
from cdzoo.io.rasters import limited_cache  # noqa: E402
from cdzoo.scenes.raster import RasterSource  # noqa: E402
from cdzoo.tiling import Window  # noqa: E402

LEFT, TOP, SIDE = 500_000.0, 5_000_000.0, 140
NAMES = ("B02", "B03", "B04", "B08")


def write(path, pixels, step=1.0, origin=(LEFT, TOP), names=(), nodata=None, **profile):
    """Write bands (H, W, bands)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = pixels.shape
    size = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype, "nodata": nodata}
    at = rasterio.transform.from_origin(*origin, step, step)
    with rasterio.open(path, "w", crs="EPSG:32633", transform=at, **size, **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
        file.descriptions = names or file.descriptions
    return str(path)


def noise(seed, bands=4, side=SIDE, dtype=np.uint16):
    return np.random.default_rng(seed).integers(1, 200, (side, side, bands)).astype(dtype)


def mask(root, side=SIDE):
    labels = (noise(9, 1, side, np.uint8) > 150).astype(np.uint8)
    return write(root / "mask.tif", labels)


def equals_what_is_predicted_from(samples, before, after, bands, bands_after, value_range):
    """Compare windows with those of the rasters from which `cdzoo predict` makes a map."""
    options = {"value_range": value_range}
    with one_raster(before) as first_file, one_raster(after) as second_file:
        with RasterSource(first_file, len(bands), indexes=bands, **options) as first:
            with RasterSource(second_file, len(bands_after), first.grid, indexes=bands_after, **options) as second:
                for index, (_, cell) in enumerate(samples.cells):
                    found = [source.read(cell.window) for source in (first, second)]
                    sample = samples[index]
                    for image, (pixels, known) in zip(sample.images, found, strict=True):
                        expected = np.where(known[..., None], pixels, 0)
                        np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), expected, atol=1e-6)
                    unknown = ~(found[0][1] & found[1][1])
                    assert ((sample.target["mask"].numpy() == 255) == unknown).all()


@pytest.mark.parametrize(
    ("bands", "after"), [((4, 2), None), (("B08", "B03"), None), (("B04 B02",), (1, 4)), ((3, 3), ("B02", "B08"))]
)
def test_bands_of_a_file(tmp_path, bands, after):
    """The second date is on another grid; a band that is not read has no data at some pixels."""
    first, second = noise(0), noise(1, side=SIDE + 20)
    first[20:30, 40:90, 0] = 0
    first[60:64, 10:30, 3] = 0
    given = {
        "before": write(tmp_path / "b.tif", first.astype(np.int16), names=NAMES, nodata=0),
        "after": write(tmp_path / "a.tif", second.astype(np.int16), origin=(LEFT - 6.4, TOP + 5.3), names=NAMES, nodata=0),
    }
    cfg = DataCfg(**given, mask=mask(tmp_path), tile=64, value_range=(0, 200), bands=bands, bands_after=after)
    samples = pickle.loads(pickle.dumps(open_data(cfg, ("all",), (2, 2)).splits["all"]))
    chosen = [NAMES.index(one) + 1 if isinstance(one, str) else one for text in bands for one in _words(text)]
    y, x = 0, 0
    assert (samples[0].images[0].permute(1, 2, 0).numpy() * 200).round()[:20, :40].tolist() == first[
        y : y + 20, x : x + 40, [number - 1 for number in chosen]
    ].tolist()
    equals_what_is_predicted_from(samples, given["before"], given["after"], chosen, after or chosen, (0, 200))


def _words(text):
    return text.split() if isinstance(text, str) else [text]


@pytest.mark.parametrize("bands", [("B04", "B02"), ("B8A", "B04"), (3,)])
def test_bands_in_files_of_their_own(tmp_path, bands):
    """Of 1 and 2 meters; the finest band has the grid, whether it is read or not."""
    steps = {"B02": 2, "B04": 1, "B8A": 2}
    for number, date in enumerate(("before", "after")):
        for band, (name, step) in enumerate(steps.items()):
            write(tmp_path / date / f"T33_{name}.tif", noise(10 * number + band, 1, SIDE // step), step)
    given = {date: str(tmp_path / date) for date in ("before", "after")}
    cfg = DataCfg(**given, mask=mask(tmp_path), tile=70, value_range=(0, 200), bands=bands)
    samples = open_data(cfg, ("all",), (len(bands),) * 2).splits["all"]
    assert len(samples) == 4 and samples[0].images[0].shape == (len(bands), 70, 70)
    equals_what_is_predicted_from(samples, given["before"], given["after"], bands, bands, (0, 200))
    assert open_data(DataCfg(**given, mask=cfg.mask, tile=70, value_range=(0, 200)), ("all",), (3, 3)).splits["all"]


@pytest.mark.filterwarnings("ignore:.*alpha")
def test_a_band_that_is_called_alpha(tmp_path):
    """It marks the pixels with data unless it is read as a band."""
    pixels = noise(0, dtype=np.uint8)
    pixels[5:9, :50, 3] = 0
    given = {
        "before": write(tmp_path / "b.tif", pixels, photometric="RGB", alpha="YES"),
        "after": write(tmp_path / "a.tif", noise(1, dtype=np.uint8), photometric="RGB", alpha="YES"),
        "mask": mask(tmp_path),
    }
    with rasterio.open(given["before"]) as file:
        assert file.colorinterp[3].name == "alpha"
    for bands, lacks in (((3, 2, 1), True), ((4, 3, 2), False), ((1, 2, 3, 4), False), (None, False)):
        count = len(bands or (1, 2, 3, 4))
        sample = open_data(DataCfg(**given, tile=64, bands=bands), ("all",), (count, count)).splits["all"][0]
        assert (sample.target["mask"][5:9, :50] == 255).all() == lacks
        assert (sample.target["mask"] != 255).all() != lacks
        shown = pixels[:64, :64, [band - 1 for band in bands or (1, 2, 3, 4)]].copy()
        shown[5:9, :50] *= not lacks
        assert (sample.images[0].permute(1, 2, 0).numpy() == shown).all()


def test_bands_of_a_training_are_those_of_its_weights(tmp_path):
    given = {name: write(tmp_path / f"{name}.tif", noise(number), names=NAMES) for number, name in enumerate(("before", "after"))}
    given |= {"mask": mask(tmp_path), "tile": 64}
    stored = {"bands": ["B08", "B03"], "bands_after": None, "value_range": [0, 100]}
    for file in ("vrt", "tif"):
        if file == "vrt":
            with rasterio.open(given["before"]) as source:
                rasterio.shutil.copy(source, tmp_path / "before.vrt", driver="VRT")
        cfg = DataCfg(**given | {"before": str(tmp_path / f"before.{file}")})
        opened = open_data(cfg, ("all",), (2, 2), stored)
        assert opened.cfg.bands == ("B08", "B03") and opened.cfg.value_range == (0, 100)
        assert any("bands as in the training of the weights, --bands B08 B03" in note for note in opened.notes)
        expected = noise(0)[:64, :64, [3, 1]] / np.float32(100)
        assert np.allclose(opened.splits["all"][0].images[0].permute(1, 2, 0).numpy(), expected)
    of_after = open_data(DataCfg(**given, bands_after=("B02", "B03")), ("all",), (2, 2), stored)
    assert of_after.cfg.selected == (("B08", "B03"), ("B02", "B03"))
    assert open_data(DataCfg(**given, bands=(1, 2)), ("all",), (2, 2), stored).cfg.selected == ((1, 2), (1, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": ("B12",)}, r"before.tif: no band has the name B12 \(names in the file: B02, B03, B04, B08\)"),
        ({"bands": (5, 1)}, "before.tif: no band 5; the image has the bands 1 to 4"),
        ({"bands": (1,)}, r"before.tif: --bands selects 1 band\(s\), expected 2"),
        ({"bands": (1, 2), "bands_after": (1, 2, 3)}, r"after.tif: --bands selects 3 band\(s\), expected 2"),
        ({}, r"before.tif: the image has 4 band\(s\), expected 2; .* select 2 of the bands with --bands"),
    ],
)
def test_what_is_refused(tmp_path, options, message):
    given = {name: write(tmp_path / f"{name}.tif", noise(number), names=NAMES) for number, name in enumerate(("before", "after"))}
    with pytest.raises(InputError, match=message):
        open_data(DataCfg(**given, mask=mask(tmp_path), tile=64, value_range=(0, 200), **options), ("all",), (2, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_keeps_its_bands(tmp_path, monkeypatch, capsys):
    """For `eval`, and for `predict`, whose map is that of the options given."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("before", "after")):
        for band, step in (("B02", 1), ("B04", 1), ("B8A", 2)):
            write(tmp_path / name / f"{band}.tif", noise(number, 1, 384 // step) * np.uint16(10), step)
    names = ["--before", "before", "--after", "after", "--mask", mask(tmp_path, 384), "--tile", "64", "--block", "64"]
    settings = ["epochs=1", "batch_size=4", "crop=64", "device=cpu"]
    words = ["train", "--model", "fc_siam_diff", *names, "--bands", "B8A", "B02", "--value-range", "0", "2500"]
    assert main([*words, "--out", "run", *settings]) == 0
    assert cdzoo.create_model("local-dir:run").config.in_chans == 2
    data = json.loads((tmp_path / "run" / "results.json").read_text())["data"]
    assert data["bands"] == ["B8A", "B02"] and data["value_range"] == [0, 2500]
    capsys.readouterr()
    assert main(["eval", "--model", "run", *names, "--device", "cpu"]) == 0
    assert "--bands B8A B02" in capsys.readouterr().out
    assert main(["predict", "before", "after", "-o", "run.tif", "--model", "run", "--device", "cpu"]) == 0
    assert "as in the training of run: --value-range 0 2500 --bands B8A B02" in capsys.readouterr().out
    given = ["--bands", "B8A", "B02", "--value-range", "0", "2500"]
    assert main(["predict", "before", "after", "-o", "given.tif", "--model", "run", "--device", "cpu", *given]) == 0
    with rasterio.open("run.tif") as one, rasterio.open("given.tif") as other:
        assert one.read().tobytes() == other.read().tobytes()


def test_scenes_are_closed_while_others_are_read(tmp_path):
    """In a thread of its own, which has no environment of GDAL yet."""
    files = {name: write(tmp_path / f"{name}.tif", noise(seed)) for seed, name in enumerate(("before", "after"))}
    cfg = DataCfg(**files, mask=mask(tmp_path), tile=64, value_range=(0, 200))

    def train_then_predict():
        samples = open_data(cfg, ("all",), (4, 4)).splits["all"]
        assert len(samples[0].images) == 2
        with limited_cache():
            del samples
            gc.collect()
            with RasterSource(files["before"], 4, value_range=(0, 200)) as source:
                return source.read(Window(0, 0, 8, 8))[1].all()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train_then_predict).result()

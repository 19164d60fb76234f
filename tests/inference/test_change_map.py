"""`ChangeMap`: what a notebook shows, the figure, and files that equal those of `cdzoo predict`."""

import io

import numpy as np
import pytest
from PIL import Image

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError, InputError, MissingDependencyError
from cdzoo.inference.predict import ChangeMap
from cdzoo.tasks import get_task
from cdzoo.visualize import CHANGE_COLOR

RNG = np.random.default_rng(0)


def binary(height=40, width=60):
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2, : width // 4] = 1
    image = RNG.integers(0, 255, (height, width, 3), dtype=np.uint8)
    return ChangeMap(mask, mask.astype(np.float32) * 0.75, image, image)


def of_classes(height=40, width=60):
    task = get_task("multiclass", ("no change", "water", "forest"))
    probability = np.full((3, height, width), 0.1, np.float32)
    probability[0] = 0.8
    probability[:, : height // 4] = np.array([0.1, 0.7, 0.2])[:, None, None]
    maps = task.predict_maps(probability, 0.5)
    image = RNG.integers(0, 255, (height, width, 1), dtype=np.uint8)
    return ChangeMap(maps["change"], probability, image, image, maps, task.maps, task)


def test_texts_and_shares():
    change, classes = binary(), of_classes()
    assert repr(change) == "ChangeMap(60 x 40 pixels, 12.50% changed at threshold 0.5)" and change.share == 0.125
    assert repr(classes) == "ChangeMap(60 x 40 pixels, no change 75.00%, water 25.00%)"
    assert classes.shares == {"no change": 0.75, "water": 0.25} and classes.share == 0.25
    np.testing.assert_allclose(classes.change_probability[[0, -1]], [[0.9] * 60, [0.2] * 60], atol=1e-6)


@pytest.mark.parametrize(("make", "panels"), [(binary, 3), (of_classes, 3)])
@pytest.mark.parametrize("size", [(40, 60), (2500, 800), (7, 900)])
def test_a_notebook_shows_a_small_picture(make, panels, size):
    data = make(*size)._repr_png_()
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG" and len(data) < 2**20 and picture.width < 1100
    assert picture.width >= panels * 180 or picture.height >= 330  # not too small to see
    if make is binary and size == (40, 60):  # change is in the third panel only, on the left
        red = np.asarray(picture).reshape(-1, picture.width, 3)
        columns = np.flatnonzero((red == CHANGE_COLOR).all(2).any(0))
        assert picture.width * 0.65 < columns.min() and columns.max() < picture.width * 0.77


def test_plot_draws_both_dates_all_maps_and_the_probability(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = binary().plot()
    assert [axis.get_title() for axis in axes] == ["before", "after", "change: 12.5%", "probability of change"]
    assert [text.get_text() for text in axes[2].get_legend().get_texts()] == ["no change", "change"]
    np.testing.assert_array_equal(np.unique(axes[3].get_images()[0].get_array()), [0, 0.75])
    _, own = pyplot.subplots(2, 2)
    assert of_classes().plot(own)[0] is own[0, 0]
    assert [text.get_text() for text in own[1, 0].get_legend().get_texts()] == ["no change", "water"]
    with pytest.raises(ConfigError, match="draws 4 panels, got 2 axes"):
        binary().plot(own[0])
    pyplot.close("all")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cdzoo\[tools\]'"):
        binary().plot()


def test_save_writes_what_predict_writes(tmp_path, tiny, pair_folder):
    root = pair_folder(1, 48)
    pair = [root / date / "pair_0.png" for date in ("A", "B")]
    for name, options in {"binary": {}, "classes": {"task": "multiclass", "class_names": ("no change", "a", "b")}}.items():
        folder = tiny(**options).save_pretrained(tmp_path / name)
        for place in ("saved", "predicted"):
            (tmp_path / name / place).mkdir()
        assert main(["predict", *map(str, pair), "-o", f"{folder}/predicted/map.png", "--model", str(folder)]) == 0
        change = cdzoo.predict_pair(f"local-dir:{folder}", *pair)
        files = change.save(folder / "saved" / "map.png")
        assert sorted(file.name for file in files) == sorted(file.name for file in (folder / "predicted").iterdir())
        for file in files:
            assert file.read_bytes() == (folder / "predicted" / file.name).read_bytes()
        (arrays,) = change.save(str(folder / "map.npz"))
        with np.load(arrays) as stored:
            np.testing.assert_array_equal(stored["probability"], change.probability)
            np.testing.assert_array_equal(stored["mask"], change.mask)
            assert stored["threshold"] == 0.5
    with pytest.raises(InputError, match=r"map\.tif: maps with coordinates are written by cdzoo\.predict_scene; use one"):
        change.save(tmp_path / "map.tif")
    before = pair[1].read_bytes()
    with pytest.raises(InputError, match="is the input"):
        change.save(pair[1])
    assert pair[1].read_bytes() == before

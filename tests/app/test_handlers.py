"""What stands behind the page: deep images, models of several classes, limits, weights."""

from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from cdzoo.app.detection import SIDE
from cdzoo.app.handlers import Handlers
from cdzoo.app.inputs import Limits, check_upload, preview, read_values
from cdzoo.app.server import start
from cdzoo.app.session import Sessions
from cdzoo.app.view import area_text
from cdzoo.app.weights import WeightsMenu
from cdzoo.constants import DEFAULT_WEIGHTS
from cdzoo.errors import ConfigError, InputError, UnknownNameError


@pytest.fixture
def sessions():
    found = Sessions()
    yield found
    found.close()
    assert not found.folder.exists()


def handlers(menu, sessions):
    return Handlers(menu, sessions, Limits())


VISITOR = SimpleNamespace(session_hash="visitor")


def silent(*_, **__):
    """Progress of no page."""


def test_16_bits_are_stretched_and_the_page_says_so(server, files, sessions):
    page = handlers(server[1], sessions)
    dates = [str(files[f"{name}16.tif"]) for name in ("before", "after")]
    found, written = page.detect(*dates, DEFAULT_WEIGHTS, None, "", "", VISITOR, silent)
    assert 0 < found["share"] < 0.5 and found["area_m2"] is None and len(written) == 6
    shown, text, *_ = page.show(found["threshold"], "Change over after", None, VISITOR)
    assert "percentile 2 to 98" in text and Image.open(shown[0]).size == (128, 128)
    ranged, _ = page.detect(*dates, DEFAULT_WEIGHTS, None, "3 2 1", "0, 10200", VISITOR, silent)
    assert ranged["changed_pixels"] != found["changed_pixels"]
    assert "percentile" not in page.show(found["threshold"], "After", None, VISITOR)[1]


@pytest.mark.parametrize("task", ["semantic", "damage"])
def test_models_of_several_classes_show_each_map_with_a_legend(tiny, files, sessions, tmp_path, task):
    names = ("road", "<b>tree</b>", "house") if task == "semantic" else ("no damage", "<b>minor</b>", "major", "destroyed")
    tiny(task=task, class_names=names).save_pretrained(tmp_path / "run")
    menu = WeightsMenu([f"local-dir:{tmp_path / 'run'}"])
    page = handlers(menu, sessions)
    assert menu.names[:2] == ["run", DEFAULT_WEIGHTS]
    assert "No measured score" in page.card("run")
    dates = [str(files[f"{name}.tif"]) for name in ("before", "after")]
    found, written = page.detect(*dates, "run", 0.3, "", "", VISITOR, silent)
    task = menu.load("run").task
    stems = ["change", *(f"change_{name}" for name in [*task.maps][1:])]
    assert [file.rpartition("/")[2] for file in written][: len(stems)] == [f"{stem}.tif" for stem in stems]
    assert found["classes"].keys() <= {*next(iter(task.maps.values())).class_names}
    for name in task.maps:
        shown, text, choice, *_ = page.show(0.3, "Change map", name, VISITOR)
        colors = {tuple(color) for color in np.asarray(Image.open(shown[1])).reshape(-1, 3)[:1]}
        assert colors and [value for _, value in choice["choices"]] == [*task.maps] and choice["visible"]
        assert "<b>tree" not in text and "<b>minor" not in text and name.replace("_", " ") in text
    assert page.write(0.6, VISITOR)[0]["threshold"] == 0.6


def test_a_prediction_is_stopped(server, files, sessions):
    page = handlers(server[1], sessions)

    def stop(share, **_):
        page.stop(VISITOR)

    with pytest.raises(gr.Error, match="stopped"):
        page.detect(str(files["before.tif"]), str(files["after.tif"]), DEFAULT_WEIGHTS, None, "", "", VISITOR, stop)
    assert sessions.get("visitor").detection is None
    with pytest.raises(gr.Error, match="Nothing was detected yet"):
        page.write(0.5, VISITOR, silent)


def test_a_port_that_is_taken_is_named(server, sessions):
    port = int(server[0].rpartition(":")[2])
    with pytest.raises(InputError, match=f"port {port} cannot be used.*another --port"):
        start(server[1], sessions, Limits(), port=port)


class TestUploads:
    def test_files_that_name_others_are_refused(self, files, tmp_path):
        vrt = tmp_path / "a.tif"
        vrt.write_text(f"<VRTDataset rasterXSize='1' rasterYSize='1'><SourceFilename>{files['before.tif']}</SourceFilename>")
        vrt = vrt.rename(tmp_path / "a.vrt")
        with pytest.raises(InputError, match="not an image that this page reads"):
            check_upload(vrt, Limits())

    def test_previews_are_small_and_keep_colors(self, files, scene, tmp_path):
        np.testing.assert_array_equal(preview(files["before.tif"], SIDE), scene[0])
        assert preview(files["before.png"], 50).shape == preview(files["before16.tif"], 50).shape == (50, 50, 3)
        Image.fromarray(scene[0]).quantize(64).save(tmp_path / "palette.png")
        assert np.abs(preview(tmp_path / "palette.png", SIDE).astype(int) - scene[0]).mean() < 10

    @pytest.mark.parametrize(("bands", "span"), [("0", ""), ("1,x", ""), ("", "1"), ("", "a, b"), ("", "2 1"), ("", "0 inf")])
    def test_fields_that_are_no_numbers(self, bands, span):
        with pytest.raises(InputError, match="write them as in"):
            read_values(bands, span)


class TestWeights:
    def test_given_weights_are_loaded_first_and_named_shortly(self, tiny, tmp_path):
        for name in ("a/run", "b/run"):
            (tmp_path / name).parent.mkdir()
            tiny().save_pretrained(tmp_path / name)
        menu = WeightsMenu(f"local-dir:{tmp_path / name}" for name in ("a/run", "b/run"))
        assert menu.names == [
            "a/run",
            "b/run",
            DEFAULT_WEIGHTS,
            "fc_siam_diff_efficientnet_lite0.synthetic_wide",
            "glmamba_tiny.synthetic",
        ]
        with pytest.raises(UnknownNameError, match=r"no weights 'c/run'.*Available"):
            menu.load("c/run")

    def test_weights_that_cannot_be_used_are_found_at_once(self, tmp_path):
        with pytest.raises(InputError, match=str(tmp_path)):
            WeightsMenu([f"local-dir:{tmp_path}"])
        with pytest.raises((ConfigError, UnknownNameError)):
            WeightsMenu(["nonsense.tag"])


def test_areas_are_read_in_their_unit():
    shown = [area_text(value) for value in (0, 1234.5, 56_789, 345_678, 12_345_678)]
    assert shown == ["0 m²", "1,234 m²", "5.68 ha", "34.6 ha", "12.3 km²"]


def test_visitors_without_a_key_share_nothing(sessions):
    first, second = sessions.get(None), sessions.get(None)
    assert first is not second and first.folder != second.folder
    assert sessions.get("tab") is sessions.get("tab")
    sessions.end(None)
    assert first.folder.is_dir() and second.folder.is_dir()

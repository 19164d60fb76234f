"""Files for Deepness, read and run as the plugin does."""

import json

import numpy as np
import pytest
import torch
from known_backbones import Convolutions

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError, InputError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from cdzoo.export.deepness import DeepnessCfg, deepness_metadata, deepness_options  # noqa: E402
from cdzoo.export.runtime import OnnxModel  # noqa: E402
from cdzoo.export.write import ExportCfg, export_model  # noqa: E402

S = 64


class Plugin:
    """What the plugin does with a file, from its documentation and its code."""

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (image,), (self.output,) = self.session.get_inputs(), self.session.get_outputs()
        self.name, (_, self.channels, height, width) = image.name, image.shape
        assert isinstance(self.channels, int) and isinstance(height, int) and height == width  # the panel shows them as numbers
        self.side = height
        self.metadata = {key: json.loads(text) for key, text in self.session.get_modelmeta().custom_metadata_map.items()}
        self.mean, self.std = (np.array(self.metadata[f"standardization_{name}"], np.float32) for name in ("mean", "std"))
        assert self.mean.shape == self.std.shape == (self.channels,)
        names = sorted(self.metadata["class_names"].items(), key=lambda item: int(item[0]))
        assert [int(number) for number, _ in names] == [*range(len(names))]
        self.class_names = [name for _, name in names]

    def probabilities(self, tiles):
        """Return the output for tiles (N, S, S, channels), uint8."""
        values = (np.float32(tiles / 255) - self.mean) / self.std
        return self.session.run(None, {self.name: values.transpose(0, 3, 1, 2)})[0]

    def classes(self, tiles):
        found = self.probabilities(tiles)
        found[found < self.metadata["seg_thresh"]] = 0
        return (found[:, 0] != 0).astype(int) if found.shape[1] == 1 else found.argmax(1)


@pytest.fixture(scope="module")
def build():
    """Build a network of one date with `bands` bands and another, with probabilities over the whole range."""

    def make(**options):
        torch.manual_seed(1)
        model = cdzoo.create_model("fc_siam_diff", backbone=Convolutions(), fusion="concat", decoder=None, head="conv", **options)
        with torch.no_grad():
            model.head.classify.weight.mul_(60)
            model.head.classify.bias.zero_()
        return model.eval()

    return make


def tiles(count=2, bands=6):
    return np.random.default_rng(0).integers(0, 256, (count, S, S, bands), dtype=np.uint8)


def test_binary_change_equals_predict_pair(build, tmp_path):
    model, settings = build(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)), DeepnessCfg(50.0, tiles_overlap=15, small_segment=9)
    plugin = Plugin(export_model(model, tmp_path / "change.onnx", deepness=settings, size=S).path)
    assert (plugin.side, plugin.channels, plugin.output.shape[1:]) == (S, 6, [1, S, S])
    assert plugin.class_names == ["no change", "change"] and plugin.metadata["model_type"] == "Segmentor"
    shown = {"resolution": 50, "tile_size": S, "tiles_size": S, "tiles_overlap": 15, "seg_thresh": 0.5, "seg_small_segment": 9}
    assert {name: plugin.metadata[name] for name in shown} == shown
    np.testing.assert_allclose(plugin.mean, [0.4, 0.5, 0.6] * 2)
    file = onnx.load(tmp_path / "change.onnx")
    assert file.ir_version == 8 and [entry.version for entry in file.opset_import if entry.domain == ""] == [18]
    pixels = tiles(3)
    for number, tile in enumerate(pixels):
        expected = cdzoo.predict_pair(model, tile[..., :3], tile[..., 3:])
        assert expected.probability.std() > 0.05
        np.testing.assert_allclose(plugin.probabilities(pixels)[number, 0], expected.probability, atol=1e-5)
        clear = np.abs(expected.probability - 0.5) > 1e-5
        np.testing.assert_array_equal(plugin.classes(pixels)[number][clear], expected.mask[clear])
    with pytest.raises(InputError, match=r"has the input\(s\) image, expected before, after; it is for Deepness; export"):
        OnnxModel(tmp_path / "change.onnx")


def test_kinds_of_change(build, tmp_path):
    names = ("none", "built", "gone")
    model = build(task="multiclass", class_names=names)
    plugin = Plugin(export_model(model, tmp_path / "kinds.onnx", deepness=DeepnessCfg(1000), size=S).path)
    assert plugin.class_names == [*names] and plugin.output.shape[1] == 3 and plugin.metadata["seg_thresh"] == 0
    pixels = tiles()
    found = cdzoo.predict_pair(model, pixels[0, ..., :3], pixels[0, ..., 3:]).probability
    np.testing.assert_allclose(plugin.probabilities(pixels)[0], found, atol=1e-5)
    assert {*plugin.classes(pixels)[0].ravel()} > {1}


class TestSettings:
    def test_dates_of_different_bands(self, tiny):
        model = tiny(in_chans=(2, 3), siamese=False, mean=(0.5,), std=(0.25,))
        metadata = deepness_metadata(model, deepness_options(model, ExportCfg()), DeepnessCfg(10.0))
        assert json.loads(metadata["standardization_mean"]) == [0.5] * 5 and json.loads(metadata["tile_size"]) == 512

    @pytest.mark.parametrize(("scale", "resolution"), [(1.0, 50), (0.5, 100)])
    def test_weights_name_the_resolution_and_the_threshold(self, scale, resolution):
        model = cdzoo.create_model("glmamba_tiny", pretrained=True, input_scale=scale)
        metadata = deepness_metadata(model, deepness_options(model, ExportCfg(size=256)), DeepnessCfg())
        assert json.loads(metadata["resolution"]) == resolution, "of the images that the network sees"
        assert json.loads(metadata["seg_thresh"]) == model.pretrained_cfg.threshold

    @pytest.mark.parametrize(
        ("options", "cfg", "message"),
        [
            ({"task": "semantic", "class_names": ("a", "b")}, {}, "shows the tasks binary and multiclass, not 'semantic'"),
            ({}, {"normalize": True}, "leave out --normalize"),
            ({}, {"ir_version": 10}, "leave out --ir-version"),
            ({}, {}, "pass the centimeters per pixel .* --resolution 50"),
        ],
    )
    def test_what_deepness_cannot_read_is_refused(self, tiny, tmp_path, options, cfg, message):
        with pytest.raises(ConfigError, match=message):
            export_model(tiny(**options), tmp_path / "model.onnx", deepness=DeepnessCfg(), **cfg)
        assert not list(tmp_path.iterdir())

    def test_a_size_that_the_network_does_not_take(self, tiny, tmp_path):
        with pytest.raises(ConfigError, match="multiples of 32 pixels, for example 128"):
            export_model(tiny(), tmp_path / "model.onnx", deepness=DeepnessCfg(50.0), size=100)
        with pytest.raises(ConfigError, match=r"Deepness reads \.onnx files"):
            export_model(tiny(), tmp_path / "model.pt2", deepness=DeepnessCfg(50.0))

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--resolution", "50"], "--resolution is a setting of Deepness: pass --for deepness, too"),
            (["--for", "deepnes"], "unknown value 'deepnes'"),
            (["--for", "deepness", "--tiles-overlap", "90"], "tiles_overlap must be less than or equal to 80"),
        ],
    )
    def test_invalid_options_of_the_command(self, tmp_path, capsys, words, message):
        assert main(["export", "glmamba_tiny", "-o", str(tmp_path / "m.onnx"), *words]) == 2
        assert message in capsys.readouterr().err

"""Exported files that predict: maps equal those of PyTorch, resumption, and files that cannot be used."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch
from known_backbones import Convolutions
from PIL import Image

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError, InputError, MissingDependencyError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from cdzoo.export.runtime import OnnxModel  # noqa: E402
from cdzoo.export.write import export_model  # noqa: E402

CLASSES = {"binary": (), "multiclass": ("none", "built", "gone"), "semantic": ("water", "ground"), "damage": ("minor", "lost")}
RNG = np.random.default_rng(0)
DATES = [RNG.integers(0, 256, (150, 233, 3), dtype=np.uint8) for _ in range(2)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export a small network, once for all tests with the same options; return the network and the file."""
    made = {}

    def export(task="binary", **options):
        key = (task, *options.items())
        if key not in made:
            torch.manual_seed(1)
            parts = {"fusion": "concat", "decoder": None, "head": "conv"}
            names = {"class_names": CLASSES[task], "branch_decoder": None} if CLASSES[task] else {}
            model = cdzoo.create_model("fc_siam_diff", backbone=Convolutions(), **parts, task=task, **names).eval()
            with torch.no_grad():  # probabilities over the whole range
                for head in (model.head, *(branch.head for branch in model.branches.values() if branch.head is not None)):
                    head.classify.weight.mul_(60)
                    head.classify.bias.zero_()
            path = tmp_path_factory.mktemp("exported") / f"{task}.onnx"
            made[key] = (model, export_model(model, path, **options).path)
        return made[key]

    return export


def same_maps(one, other, threshold=0.5):
    assert one.probability.std() > 0.02 and len(np.unique(one.mask)) > 1
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
    # A rounded probability may fall to the other side of the threshold, and of two equal classes either may be the larger.
    values = [*one.probability.reshape(-1, *one.mask.shape), np.full(one.mask.shape, threshold, np.float32)]
    clear = np.min([np.abs(a - b) for a, b in combinations(values, 2)], 0) > 2e-5
    assert clear.mean() > 0.99
    for name in one.maps:
        np.testing.assert_array_equal(one.maps[name][clear], other.maps[name][clear])


CASES = [
    ("binary", {}, ("none", "all")),
    ("semantic", {"normalize": True, "probabilities": True}, ("none", "all")),
    pytest.param("binary", {"normalize": True, "probabilities": True}, ("swap",), marks=pytest.mark.slow),
    pytest.param("semantic", {}, ("swap",), marks=pytest.mark.slow),
    pytest.param("multiclass", {"probabilities": True}, ("none", "flips"), marks=pytest.mark.slow),
    pytest.param("damage", {}, ("flips",), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("task", "options", "modes"), CASES)
def test_maps_equal_those_of_the_model_across_windows(exported, task, options, modes):
    model, file = exported(task, **options)
    for augment in modes:
        settings = {"tile": 64, "overlap": 24, "augment": augment, "batch_size": 3}
        same_maps(cdzoo.predict_pair(model, *DATES, **settings), cdzoo.predict_pair(str(file), *DATES, **settings))


def test_one_window_of_any_size_and_floats(exported):
    model, file = exported()
    runtime = OnnxModel(file)
    for height, width in ((33, 47), (150, 233), (64, 64)):
        dates = [image[:height, :width] / np.float32(255) for image in DATES]
        same_maps(cdzoo.predict_pair(model, *dates), cdzoo.predict_pair(runtime, *dates))
    images = [torch.randn(3, 3, 50, 61) for _ in range(2)]
    with torch.no_grad():
        torch.testing.assert_close(runtime(*images), model(*images), atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="date 2 has 4 bands"):
        runtime(images[0], torch.randn(3, 4, 50, 61))


def test_what_a_file_says_about_itself(exported):
    model, file = exported()
    runtime = OnnxModel(file)
    assert runtime.bands == model.bands and runtime.task.maps == model.task.maps and runtime.input_sizes == model.input_sizes
    assert runtime.config == model.config and runtime.local == model.local and runtime.threads == torch.get_num_threads()
    assert runtime.origin is None and runtime.pretrained_cfg is None and runtime.eval() is runtime
    assert runtime.window_multiple == model.window_multiple and runtime.padding(33, 64) == model.padding(33, 64)
    assert repr(runtime) == f"OnnxModel(fc_siam_diff, {file}, fp32, CPUExecutionProvider)"


def test_a_file_of_one_size_and_batch(exported):
    model, file = exported(size=64, batch=2)
    runtime = OnnxModel(file)
    images = [torch.rand(3, 3, 64, 64) for _ in range(2)]
    with torch.inference_mode():
        torch.testing.assert_close(
            runtime.predict_probabilities(*images), model.predict_probabilities(*images), atol=1e-5, rtol=0
        )
    with pytest.raises(InputError, match="not 64x64 pixels"):
        runtime(*[image[..., :60] for image in images])
    whole, corner = cdzoo.predict_pair(runtime, *DATES), cdzoo.predict_pair(runtime, *(date[:64, :64] for date in DATES))
    np.testing.assert_allclose(whole.probability[:30, :30], corner.probability[:30, :30], atol=1e-6)  # windows of 64 pixels
    with pytest.raises(ConfigError, match="accepts images of one size: use tile=64"):
        cdzoo.predict_pair(runtime, *DATES, tile=128)
    with pytest.raises(InputError, match="at least 64x64"):
        cdzoo.predict_pair(runtime, *(d[:50] for d in DATES))


class TestScenes:
    @pytest.fixture
    def rasters(self, tmp_path):
        rasterio = pytest.importorskip("rasterio")
        paths = [tmp_path / f"{name}.tif" for name in "ab"]
        profile = {"driver": "GTiff", "height": 150, "width": 233, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
        for path, pixels in zip(paths, DATES, strict=True):
            with rasterio.open(path, "w", **profile, transform=rasterio.Affine(1, 0, 500_000, 0, -1, 5_000_000)) as file:
                file.write(pixels.transpose(2, 0, 1))
        return paths

    def test_products_and_tags(self, exported, rasters, tmp_path):
        import rasterio

        from cdzoo.scenes import SceneCfg, predict_scene

        model, file = exported()
        cfg = SceneCfg(tile=64, overlap=24, probability="float32", progress=False)
        found = {}
        for name, one in (("torch", model), ("onnx", file)):
            files = {kind: tmp_path / f"{name}.{end}" for kind, end in (("polygons", "gpkg"), ("report", "html"))}
            result = predict_scene(one, *rasters, tmp_path / f"{name}.tif", cfg, tmp_path / f"{name}_p.tif", **files)
            with rasterio.open(result.mask) as mask, rasterio.open(result.probability) as probability:
                found[name] = (mask.read(1), probability.read(1), result.polygons, mask.tags())
            assert all(path.stat().st_size > 1000 for path in files.values())
        (mask, probability, polygons, tags), (mask2, probability2, polygons2, tags2) = found["torch"], found["onnx"]
        np.testing.assert_allclose(probability, probability2, atol=1e-5)
        clear = np.abs(probability - 0.5) > 1e-5
        np.testing.assert_array_equal(mask[clear], mask2[clear])
        assert abs(polygons - polygons2) <= (~clear).sum() and polygons > 3
        assert tags2["model_file"] == file.name and tags2["model_file_sha256"] == OnnxModel(file).sha256
        assert tags2["model"] == tags["model"] and tags2["job_sha256"] != tags["job_sha256"]

    def test_an_interrupted_scene_resumes_with_the_same_file_only(self, exported, rasters, tmp_path, monkeypatch):
        from cdzoo.scenes import SceneCfg, predict_scene

        _, file = exported()
        cfg = SceneCfg(tile=64, overlap=24, batch_size=3, progress=False)
        predict_scene(file, *rasters, tmp_path / "whole.tif", cfg)

        def interrupt():
            calls, run = [], OnnxModel.predict_probabilities

            def fail(self, *images):
                calls.append(1)
                if len(calls) == 8:
                    raise KeyboardInterrupt
                return run(self, *images)

            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(OnnxModel, "predict_probabilities", fail)
                predict_scene(file, *rasters, tmp_path / "map.tif", cfg)

        interrupt()
        result = predict_scene(file, *rasters, tmp_path / "map.tif", cfg)
        assert result.resumed >= 1 and (tmp_path / "map.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
        interrupt()
        other = changed(file, tmp_path / file.name, threshold=0.4)  # another file of the same name
        result = predict_scene(other, *rasters, tmp_path / "map.tif", cfg)
        assert result.resumed == 0 and result.threshold == 0.4

    def test_commands(self, exported, rasters, tmp_path, capsys, monkeypatch):
        """Pictures, scenes and lists, without a PyTorch model."""

        def refuse(*_args, **_options):
            raise AssertionError("a PyTorch model was built")

        _, source = exported()
        monkeypatch.setattr("cdzoo.models.detector.ChangeDetector.__init__", refuse)
        monkeypatch.chdir(tmp_path)
        for name, pixels in zip("ab", DATES, strict=True):
            Image.fromarray(pixels).save(f"{name}.png")
        file = changed(source, tmp_path / "model.onnx", threshold=0.4)
        assert main(["predict", "a.png", "b.png", "-o", "change.png", "--model", "model.onnx", "--tile", "64"]) == 0
        out = capsys.readouterr().out
        assert "random weights; model.onnx, fp32, run by ONNX Runtime" in out and "threshold 0.4, tiles of 64" in out
        expected = cdzoo.predict_pair(file, *DATES, tile=64)
        np.testing.assert_array_equal(np.asarray(Image.open("change.png")), expected.mask * 255)
        lines = ["before,after,output,probability", *(f"a.tif,b.tif,m{number}.tif,p{number}.tif" for number in range(2))]
        (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
        words = ["predict", "--manifest", "list.csv", "--model", "./model.onnx", "--device", "cpu", "--tile", "64"]
        assert main(words) == 0 and "2 predicted, 0 finished before" in capsys.readouterr().out
        assert main(words) == 0 and "0 predicted, 2 finished before" in capsys.readouterr().out
        changed(file, file, threshold=0.3)
        assert main(words) == 0 and "2 predicted, 0 finished before" in capsys.readouterr().out
        for wrong, message in (
            (["--device", "mps"], "device 'mps': not available for exported models; available: cpu"),
            (["--random-weights"], "--random-weights is for the name of a model"),
        ):
            assert main(["predict", "a.tif", "b.tif", "-o", "m.tif", "--model", "model.onnx", *wrong]) == 2
            assert message in capsys.readouterr().err
        assert main(["eval", "--model", "model.onnx", "--data", "pairs"]) == 2
        assert "an exported file, which only cdzoo predict takes" in capsys.readouterr().err


def changed(source, target, **values):
    """Write a copy of a file with other metadata; return its path."""
    model = onnx.load(source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    data = {key: value for key, value in {**json.loads(metadata["cdzoo"]), **values}.items() if value != "removed"}
    del model.metadata_props[:]
    model.metadata_props.add(key="cdzoo", value=json.dumps(data))
    target.write_bytes(model.SerializeToString())
    return target


class TestFilesThatCannotBeUsed:
    def broken(self, source, target, what):
        content, model = source.read_bytes(), onnx.load(source)
        if what == "text":
            target.write_text("no model")
        elif what == "truncated":
            target.write_bytes(content[: len(content) // 2])
        elif what == "version":
            model.ir_version = 99
        elif what == "opset":
            model.opset_import[0].version = 99
        elif what == "metadata":
            del model.metadata_props[:]
        elif what == "json":
            model.metadata_props[0].value = "{"
        elif what == "list":
            model.metadata_props[0].value = "[]"
        elif what == "input":
            for node in model.graph.node:
                node.input[:] = ["first" if name == "before" else name for name in node.input]
            model.graph.input[0].name = "first"
        if what not in ("text", "truncated", "missing"):
            target.write_bytes(model.SerializeToString())
        return target

    @pytest.mark.parametrize(
        ("what", "message"),
        [
            ("missing", r"cannot be read \(No such file or directory\); write it with: cdzoo export"),
            ("text", "damaged or truncated, or not an ONNX file"),
            ("truncated", "damaged or truncated, or not an ONNX file"),
            ("version", r"for a newer ONNX Runtime than .*pip install -U onnxruntime, or export the model again with an older"),
            ("opset", "for a newer ONNX Runtime than"),
            ("metadata", "has no metadata of cdzoo, .*write it with: cdzoo export MODEL -o"),
            ("json", "its metadata cannot be read .*export the model again"),
            ("list", r"its metadata cannot be read \(not an object\)"),
            ("input", r"has the input\(s\) first, after, expected before, after; export the model for cdzoo"),
        ],
    )
    def test_the_message_says_what_to_do(self, exported, tmp_path, what, message):
        with pytest.raises(InputError, match=message) as error:
            OnnxModel(self.broken(exported()[1], tmp_path / "bad.onnx", what))
        assert str(error.value).startswith(str(tmp_path / "bad.onnx"))

    @pytest.mark.parametrize(
        "values",
        [
            {"threshold": 2.0},
            {"pad_multiple": 0},
            {"pad_multiple": "4"},
            {"config": {"name": "x"}},
            {"config": "removed"},
            {"input_sizes": {"fixed": -1}},
            {"weights": {"name": "x"}},
            {"weights": {"name": "x", "sha256": "y", "published": {"model": "x"}}},
            {"mean": [float("1e9")]},
            {"precision": "fp8"},
        ],
    )
    def test_metadata_are_validated(self, exported, tmp_path, values):
        with pytest.raises(InputError, match="its metadata cannot be read"):
            OnnxModel(changed(exported()[1], tmp_path / "bad.onnx", **values))

    def test_unknown_metadata_of_later_versions_are_ignored(self, exported, tmp_path):
        assert OnnxModel(changed(exported()[1], tmp_path / "new.onnx", version="99.0.0", shiny=True)).metadata.version == "99.0.0"

    def test_outputs_of_another_task(self, exported, tmp_path):
        file = exported()[1]
        config = {**OnnxModel(file).metadata.config, "task": "semantic", "class_names": ["a", "b"]}
        with pytest.raises(InputError, match=r"has the output\(s\) change, expected change, semantic_t1, semantic_t2"):
            OnnxModel(changed(file, tmp_path / "bad.onnx", config=config))

    def test_without_onnxruntime(self, exported, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
        with pytest.raises(
            MissingDependencyError, match=r"running an exported model requires onnxruntime: pip install 'cdzoo\[export\]'"
        ):
            OnnxModel(exported()[1])

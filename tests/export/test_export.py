"""Exported files: tiny networks of several families equal PyTorch, and what is wrong is not written."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from unittest import mock

import pytest
import torch

import cdzoo
from cdzoo.cli.main import main
from cdzoo.config import ModelCfg
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.export import Metadata, check, export_model
from cdzoo.export.metadata import KEY, PT2_FILE
from cdzoo.export.onnx_file import to_onnx
from cdzoo.export.scan import _Writer
from cdzoo.layers.position_attention import PositionAttention
from cdzoo.models.detector import ChangeDetector
from cdzoo.registry import MODELS
from tests.architectures import families, fill, shrunk, tensors

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

FIRST = ("fc_siam_diff", "bit_s4_dd8_dedim8", "glmamba_tiny", "snunet_conc32")
"""Chosen from their families."""
LONG = ("icifnet", "mambabda_tiny", "btc_t", "mambabcd_tiny")
"""Networks whose export takes more than ten seconds."""


def one_per_family() -> list[object]:
    """Return one architecture of each module of `cdzoo.models`; benchmarks/export.py exports every architecture.

    CDMamba is left to the benchmark: with these small weights, its outputs in float32 differ from those in float64 by 20 %.
    """
    chosen = {MODELS.get(name).__module__: name for name in (*reversed(families()), *FIRST) if name != "cdmamba"}
    return [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in sorted(chosen.values())]


@pytest.fixture(autouse=True)
def quiet_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the records of torch's tracer from pytest, which would store thousands of them."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "propagate", False)


def tiny(name: str = "fc_siam_diff", **changes: object) -> ChangeDetector:
    torch.manual_seed(0)
    model = cdzoo.create_model(name, **{**shrunk(name), **changes})
    fill(model)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, PositionAttention):  # else it picks single positions, and fp32 itself is off by 3e-4
                module.query.apply(lambda part: [p.mul_(0.1) for p in part.parameters(recurse=False)])
    return model.eval()


def session(path: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def images(model: ChangeDetector, height: int, width: int, batch: int = 1) -> list[torch.Tensor]:
    torch.manual_seed(batch)
    return [torch.rand(batch, bands, height, width) for bands in model.bands]


def run(path: Path, pair: list[torch.Tensor]) -> list[torch.Tensor]:
    found = session(path).run(None, dict(zip(("before", "after"), (image.numpy() for image in pair), strict=True)))
    return [torch.from_numpy(output) for output in found]


def assert_close(found: torch.Tensor, expected: torch.Tensor, share: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= share * expected.abs().max()
    assert expected.std() > 1e-3 * expected.abs().max()  # a constant would prove nothing


@pytest.mark.parametrize("name", one_per_family())
def test_family_equals_pytorch(name: str, tmp_path: Path) -> None:
    model = tiny(name)
    with mock.patch("cdzoo.export.write.to_onnx", wraps=to_onnx) as translated:
        file = export_model(model, tmp_path / "model.onnx").metadata
    assert translated.call_count == 1  # the passes of the exporter take most of the time, and no network needs them
    assert max(file.error.values()) < 1e-4
    side = file.input_sizes["fixed"] or file.min_size
    wide = side if file.input_sizes["fixed"] or file.input_sizes["square"] else side + 3 * file.pad_multiple
    pair = images(model, side, wide, 3)  # another size than that of the check
    with torch.no_grad():
        expected = tensors(model(*pair))
    names = [output.name for output in session(tmp_path / "model.onnx").get_outputs()]
    assert names == list(model.task.outputs(model.num_classes))
    for found, wanted in zip(run(tmp_path / "model.onnx", pair), expected, strict=True):
        assert_close(found, wanted)


def test_metadata_and_format(tmp_path: Path) -> None:
    model = tiny(in_chans=4)
    result = export_model(model, tmp_path / "model.onnx")
    proto = onnx.load(str(result.path))
    assert (proto.ir_version, proto.producer_name, [entry.version for entry in proto.opset_import]) == (8, "cdzoo", [18])
    stored = {entry.key: entry.value for entry in proto.metadata_props}
    data = json.loads(stored[KEY])
    assert ModelCfg.from_dict(data["config"]) == model.config
    assert data["weights"] is None and data["bands"] == [4, 4] and data["class_names"] == ["no change", "change"]
    assert (data["precision"], data["normalized"], data["probabilities"], data["threshold"]) == ("fp32", False, False, 0.5)
    assert data["pad_multiple"] == 16 and data["input_sizes"] == {"fixed": None, "multiple": 1, "square": False}
    assert data["error"] == result.metadata.error and Metadata.from_json(stored[KEY]) == result.metadata
    assert str(Path(cdzoo.__file__).parent).encode() not in result.path.read_bytes()  # no paths of this machine


def test_normalized_probabilities_of_fixed_size(tmp_path: Path) -> None:
    model = tiny()
    file = tmp_path / "model.onnx"
    export_model(model, file, normalize=True, probabilities=True, size=64, batch=2)
    first = session(file).get_inputs()[0]
    assert (first.name, first.shape, session(file).get_outputs()[0].name) == ("before", [2, 3, 64, 64], "probability")
    pair = images(model, 64, 64, 2)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (model.config.mean, model.config.std))
    with torch.no_grad():
        expected = model.probabilities(model(*((image - mean) / std for image in pair)))
    assert_close(run(file, pair)[0], expected[:, None])


@pytest.mark.parametrize(("precision", "limit"), [("fp16", 5e-3), ("int8", 0.5)])
def test_precision_states_its_error(precision: str, limit: float, tmp_path: Path) -> None:
    model = tiny()
    whole = export_model(model, tmp_path / "fp32.onnx")
    result = export_model(model, tmp_path / "model.onnx", precision=precision)
    assert result.megabytes < 0.8 * whole.megabytes
    assert whole.metadata.error["change"] < result.metadata.error["change"] < limit


def test_program(tmp_path: Path) -> None:
    model = tiny()
    result = export_model(model, tmp_path / "model.pt2")
    extra = {PT2_FILE: ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    assert json.loads(extra[PT2_FILE])["error"] == result.metadata.error
    pair = images(model, 48, 96, 3)
    with torch.no_grad():
        assert_close(program(*pair)[0], model(*pair), 1e-6)


def test_wrong_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(check.LIMITS, "fp32", 1e-12)
    with pytest.raises(ConfigError, match=r"output 'change' differs .* by [\d.e-]+ of its largest magnitude"):
        export_model(tiny(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "model.onnx").write_text("old")
    monkeypatch.setattr("cdzoo.export.write.measure", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_model(tiny(), tmp_path / "model.onnx")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_invalid_options(tmp_path: Path) -> None:
    model, file = tiny(), tmp_path / "model.onnx"
    with pytest.raises(ConfigError, match="multiples of 16 pixels, for example 112"):
        export_model(model, file, size=100)
    with pytest.raises(ConfigError, match=r"precison.*Did you mean 'precision'"):
        export_model(model, file, precison="fp16")
    with pytest.raises(ConfigError, match=r"\.pt2 file is fp32"):
        export_model(model, tmp_path / "model.pt2", precision="int8")
    with pytest.raises(InputError, match=r"model\.pth.*\.onnx, \.pt2"):
        export_model(model, tmp_path / "model.pth")
    with pytest.raises(CdzooError, match="metadata cannot be read"):
        Metadata.from_json("[]")


def test_operator_without_translation_is_named(tmp_path: Path) -> None:
    class Triangular(cdzoo.components.LevelFusion):
        def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
            return x1 - x2 + torch.linalg.qr(x1[..., :2, :2]).R.sum((-2, -1), keepdim=True)

    with pytest.raises(ConfigError, match="linalg_qr"):
        export_model(tiny(fusion=Triangular), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.onnx"
    assert main(["export", "fc_ef", "-o", str(file), "--random-weights", "--size", "32", "--batch", "1"]) == 0
    assert "32x32 pixels, 1 pairs" in capsys.readouterr().out and file.exists()
    assert main(["export", "fc_ef", "-o", str(tmp_path / "model.tflite")]) == 2
    assert ".onnx, .pt2" in capsys.readouterr().err


def test_scan_order_without_a_form_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = _Writer(18)
    monkeypatch.setattr(writer, "op", mock.MagicMock())  # a graph exists only while a model is traced
    with pytest.raises(ConfigError, match="the scan order 'spiral' has no ONNX form; use cross, corners or omni"):
        writer.table("spiral", None, None, None)

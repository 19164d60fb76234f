"""Exported files with other metadata, and damaged ones: each is refused, or predicts."""

import copy
import json

import numpy as np
import pytest

import cdzoo

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from cdzoo.export.config import ExportCfg  # noqa: E402
from cdzoo.export.metadata import KEY, describe  # noqa: E402
from cdzoo.export.runtime import OnnxModel  # noqa: E402
from cdzoo.export.sizes import FileSizes  # noqa: E402

VALUES = [None, True, 0, 1, -1, 3, 2**40, 0.5, -0.5, float("nan"), "", "x", "é" * 300, [], [1], [0.5] * 3, ["a", "b"], {}]
DATES = [np.random.default_rng(date).integers(0, 256, (40, 50, 3), dtype=np.uint8) for date in range(2)]


@pytest.fixture(scope="module")
def content():
    """A file whose logit is the mean difference of the bands, with the metadata of a model with weights."""
    model = cdzoo.create_model("glmamba_tiny", pretrained=True)
    metadata = describe(model, ExportCfg(), FileSizes.of(model)).to_json()
    graph = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        change (float[n, 3, h, w] before, float[n, 3, h, w] after) => (float[n, 1, h, w] change) {
            axes = Constant <value_ints: ints = [1]> ()
            difference = Sub (after, before)
            change = ReduceMean (difference, axes)
        }"""
    )
    graph.metadata_props.add(key=KEY, value=metadata)
    return graph.SerializeToString(), metadata


def other_value(rng, data):
    """Replace a value of nested mappings and lists by another one, or remove it."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    key = keys[rng.integers(len(keys))]
    if isinstance(data[key], dict | list) and data[key] and rng.random() < 0.5:
        other_value(rng, data[key])
    elif rng.random() < 0.1:
        del data[key]
    else:
        data[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])


def predict(folder, data):
    file = folder / "model.onnx"
    file.write_bytes(data)
    found = cdzoo.predict_pair(OnnxModel(file), *DATES)
    assert found.probability.shape[-2:] == (40, 50)


def test_metadata(fuzz, content):
    def one_round(rng, folder):
        data = json.loads(content[1])
        for _ in range(rng.integers(1, 4)):
            other_value(rng, data)
        model = onnx.load_from_string(content[0])
        model.metadata_props[0].value = json.dumps(data)
        predict(folder, model.SerializeToString())

    outcomes = fuzz(one_round, 60)
    assert outcomes["done"] and outcomes["refused"]


def test_damaged_files(fuzz, content):
    def one_round(rng, folder):
        data = bytearray(content[0])
        if rng.random() < 0.3:
            del data[rng.integers(len(data)) :]
        for place in rng.integers(0, len(data) or 1, rng.integers(1, 8)):
            data[place : place + 1] = bytes([rng.integers(256)])
        predict(folder, bytes(data))

    fuzz(one_round, 60)

"""Weights with values that a model cannot have are refused, in every way in which weights are loaded."""

import warnings

import numpy as np
import pytest
import torch
from architectures import fill
from safetensors.torch import save_file

import cdzoo
from cdzoo.cli.main import main
from cdzoo.convert import to_official
from cdzoo.errors import InputError, WeightsError
from cdzoo.weights.state import read_checkpoint
from cdzoo.weights.values import check_values

KERNEL, COUNTER, VARIANCE = "fusion.x.weight", "n.num_batches_tracked", "n.running_var"


def with_value(value):
    return lambda tensor: tensor.index_fill(0, torch.tensor([0]), value)


WRONG = {
    "nan": (with_value(float("nan")), "not finite"),
    "inf": (with_value(float("inf")), "not finite"),
    "-inf in half": (lambda tensor: with_value(-float("inf"))(tensor.half()), "not finite"),
    "too large for float32": (lambda tensor: with_value(1e300)(tensor.double()), "not finite"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "is complex"),
    "bool": (lambda tensor: tensor > 0, "is boolean"),
    "int64": (lambda tensor: tensor.long(), "is integer"),
    "float8": (lambda tensor: tensor.to(torch.float8_e4m3fn), "is torch.float8"),
    "uint8": (lambda tensor: tensor.to(torch.uint8), "is integer"),
}


@pytest.fixture
def spoiled(tiny):
    """Return a function that makes a state dict with one kernel spoiled, and the name of the kernel."""

    def make(how, prefix="", **options):
        state = fill(tiny(**options)).state_dict()
        key = next(name for name, value in state.items() if value.ndim == 4 and name.startswith(prefix))
        return {name: WRONG[how][0](value) if name == key else value for name, value in state.items()}, key

    return make


def refuses(load, key, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(WeightsError, match=f"(?s){message}|{message}.*'{key}'|'{key}'.*{message}") as caught:
            load()
    assert key.split(".", 1)[1] in str(caught.value)


@pytest.mark.parametrize("how", ["nan", "complex"])
def test_every_way_to_load_weights_refuses(spoiled, tiny, tmp_path, how):
    state, key = spoiled(how)
    folder = tiny().save_pretrained(tmp_path / "m")
    file, pickle, message = folder / "model.safetensors", tmp_path / "m.pth", WRONG[how][1]
    save_file(state, file)
    torch.save({"state_dict": state}, pickle)
    options = {"backbone_kwargs": {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}}
    for load in (
        lambda: cdzoo.create_model(f"local-dir:{folder}"),
        lambda: cdzoo.create_model(f"local-dir:{folder}", in_chans=5),  # the kernel is adapted
        lambda: cdzoo.load_weights(tiny(), file, strict=False),
        lambda: cdzoo.create_model("glmamba_tiny", checkpoint_path=file, **options),
        lambda: cdzoo.create_model("glmamba_tiny", checkpoint_path=pickle, **options),
    ):
        refuses(load, key, message)
    save_file({name.removeprefix("backbone."): value for name, value in state.items() if name.startswith("backbone.")}, file)
    for bands in (3, 4):
        refuses(lambda bands=bands: tiny(in_chans=bands, backbone_weights=file), key, message)


@pytest.mark.parametrize("how", WRONG)
def test_values_that_a_model_cannot_have_are_refused(spoiled, tiny, tmp_path, how):
    state, key = spoiled(how)
    save_file(state, tmp_path / "x.safetensors")
    model = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    refuses(lambda: cdzoo.load_weights(model, tmp_path / "x.safetensors"), key, WRONG[how][1])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("how", ["nan", "complex"])
def test_official_checkpoints_are_refused_by_convert(how, tmp_path, capsys):
    official = to_official("fc_ef", cdzoo.create_model("fc_ef").state_dict())
    key = next(name for name, value in official.items() if value.ndim == 4)
    torch.save({**official, key: WRONG[how][0](official[key])}, tmp_path / "fc_ef.pth")
    assert main(["convert", "--model", "fc_ef", str(tmp_path / "fc_ef.pth"), str(tmp_path / "out")]) == 2
    assert key in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_counters_and_variances():
    expected = {COUNTER: torch.tensor(0), VARIANCE: torch.ones(2), "index": torch.tensor([True])}
    good = {COUNTER: torch.tensor(3, dtype=torch.int32), VARIANCE: torch.ones(2, dtype=torch.bfloat16), "other": torch.ones(1)}
    check_values("f", good, expected)
    for key, value in ((COUNTER, torch.tensor(2.5)), (VARIANCE, torch.tensor([1.0, -1.0])), ("index", torch.tensor([1]))):
        with pytest.raises(WeightsError, match=f"f: .*'{key}'"):
            check_values("f", {**good, key: value}, expected)


@pytest.mark.parametrize(
    "value",
    [
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
        torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    ],
    ids=["sparse", "meta", "quantized", "nested"],
)
def test_checkpoints_of_other_tensors_are_refused(value, tmp_path):
    torch.save({"a": value}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"'a' is sparse|not a readable|not opened"):
        cdzoo.create_model("glmamba_tiny", checkpoint_path=tmp_path / "x.pth")
    torch.save({1: torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="not a state dict"):
        cdzoo.weights.state.unwrap(read_checkpoint(tmp_path / "x.pth"))


def test_models_in_memory_are_refused_by_prediction_and_evaluation(tiny):
    from cdzoo.data import SyntheticScenes
    from cdzoo.data.protocols import get_protocol
    from cdzoo.inference.evaluate import evaluate

    model, image = tiny(), np.zeros((32, 32, 3), np.uint8)
    with torch.no_grad():
        next(model.head.parameters())[0] = float("nan")
    with pytest.raises(InputError, match="predicts NaN; check its weights"):
        cdzoo.predict_pair(model, image, image)
    with pytest.raises(WeightsError, match="not finite"):
        evaluate(model, SyntheticScenes(1, size=32), get_protocol(None))

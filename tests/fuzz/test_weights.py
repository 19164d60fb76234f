"""Weight files and checkpoints with damaged bytes, and with tensors that a model cannot have."""

import copy
import json
import pickle
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

import cdzoo
from cdzoo.errors import WeightsError
from cdzoo.weights.state import load_weights, read_checkpoint, read_tensors, unwrap

KINDS = (torch.float16, torch.bfloat16, torch.float64, torch.complex64, torch.bool, torch.int64, torch.uint8, torch.float8_e4m3fn)
VALUES = (float("nan"), float("inf"), -float("inf"), 3e38, 0.0, 1e-40)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return cdzoo.create_model("fc_ef", backbone_kwargs={"channels": (2, 2, 2, 2)})


def test_damaged_safetensors(fuzz, damaged, model):
    good = save(model.state_dict())

    def one_round(rng, folder):
        file = folder / "model.safetensors"
        file.write_bytes(damaged(rng, good))
        load_weights(copy.deepcopy(model), file)

    assert fuzz(one_round, 60)["refused"]


def test_safetensors_headers(fuzz):
    """Headers of valid JSON with odd entries."""
    odd = (
        [0, 4],
        [4, 0],
        [-4, 0],
        [0, 2**63],
        [0, "4"],
        None,
        [0],
        1e400,
        "F32",
        "F7",
        [2**40, 2**40],
        {},
        [0, 4, 8],
        True,
        "\x1b[2J",
    )

    def one_round(rng, folder):
        entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        for key in rng.choice(list(entry), int(rng.integers(1, 3)), replace=False):
            entry[str(key)] = odd[rng.integers(len(odd))]
        header = json.dumps({"a": entry, "__metadata__": odd[rng.integers(len(odd))] if rng.integers(2) else {}}).encode()
        length = [len(header), 0, 2**40, len(header) - 1][rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])]
        (folder / "x.safetensors").write_bytes(struct.pack("<Q", length) + header + bytes(4))
        read_tensors(folder / "x.safetensors")

    assert fuzz(one_round, 60)["refused"]


def test_tensors_of_other_kinds(fuzz, model):
    good = model.state_dict()

    def one_round(rng, folder):
        state = {name: value.clone() for name, value in good.items()}
        key = str(rng.choice(list(state)))
        how = rng.integers(4)
        if how == 0:
            state[key] = state[key].to(KINDS[rng.integers(len(KINDS))])
        elif how == 1 and state[key].is_floating_point():
            state[key].view(-1)[rng.integers(state[key].numel())] = float(rng.choice(VALUES))
        elif how == 2:
            state[key] = torch.zeros(tuple(rng.integers(0, 4, int(rng.integers(5)))))
        else:
            state[f"{key}\x1b[2J"] = state.pop(key)
        save_file(state, folder / "x.safetensors")
        loaded = copy.deepcopy(model)
        load_weights(loaded, folder / "x.safetensors")
        assert all(bool(torch.isfinite(value).all()) for value in loaded.state_dict().values())

    assert fuzz(one_round, 60)["refused"]


class Touch:
    """A pickle of this runs a command when it is loaded without care."""

    def __reduce__(self):
        return (exec, ("open('evil', 'w')",))


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_pickles(fuzz, damaged, model, tmp_path, legacy):
    torch.save({"state_dict": model.state_dict()}, tmp_path / "good.pth", _use_new_zipfile_serialization=not legacy)
    good = (tmp_path / "good.pth").read_bytes()
    (tmp_path / "good.pth").unlink()

    def one_round(rng, folder):
        (folder / "x.pth").write_bytes(damaged(rng, good))
        unwrap(read_checkpoint(folder / "x.pth"))

    assert fuzz(one_round, 60)["refused"]


def test_odd_pickles(fuzz):
    odd = (1, "x", None, [], {1: torch.ones(1)}, {"a": Touch()}, Touch(), {"state_dict": {}}, {"model": {"net": [1]}}, b"x", (1,))
    tensors = (torch.eye(2).to_sparse(), torch.ones(1).expand(2**20, 2**20), torch.ones(1, device="meta"), np.float64(1))

    def one_round(rng, folder):
        inner = {"a": tensors[rng.integers(len(tensors))], "b": odd[rng.integers(len(odd))]}
        content = [odd[rng.integers(len(odd))], inner, {"state_dict": inner}, {"state_dict": {"a": inner["a"]}}][rng.integers(4)]
        if rng.integers(4):
            torch.save(content, folder / "x.pth")
        else:
            (folder / "x.pth").write_bytes(pickle.dumps(content))
        with pytest.raises(WeightsError):
            cdzoo.create_model("fc_ef", checkpoint_path=folder / "x.pth")

    fuzz(one_round, 25)

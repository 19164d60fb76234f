"""Training states: a whole one exists at every moment, damaged ones are recognized, and the one before is used."""

import dataclasses
import errno
import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.engine.checkpoint import Checkpoint, list_checkpoints, load_checkpoint, save_checkpoint
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.setup import prepare
from cdzoo.engine.state import TrainState, load, save
from cdzoo.errors import TrainingError, WeightsError
from cdzoo.weights.state import write_tensors

QUICK = TrainCfg(epochs=3, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu")
CALLS = ("replace", "rename", "rmdir", "unlink", "remove", "mkdir", "fsync", "link")


class Killed(BaseException):
    """Ends the process at a call, as far as the files can tell: clean-up code does not run either."""


def kill_at(monkeypatch, number):
    """Let every file operation from the given one on fail; the list returned grows with each call before."""
    made = []

    def counted(real):
        def call(*args, **options):
            if len(made) >= number:
                raise Killed
            made.append(real)
            return real(*args, **options)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return made


def state(value):
    weights = {"weight": torch.full((3,), float(value))}
    return Checkpoint(weights, weights, {"train": {}})


@pytest.mark.parametrize(("earlier", "step"), [((), 2), ((2,), 2), ((2,), 4), ((2, 4), 4), ((2, 4), 6), ((2, 4, 6), 4)])
def test_a_training_state_exists_whenever_the_writing_is_killed(tmp_path, earlier, step):
    for number in range(100):
        out = tmp_path / str(number)
        for old in earlier:
            save_checkpoint(out, old, state(old))
        with pytest.MonkeyPatch.context() as patch:
            made = kill_at(patch, number)
            try:
                save_checkpoint(out, step, state(10))
                complete = True
            except Killed:
                complete = False
            assert len(made) <= number or complete
        if earlier:
            before = {old: float(old) for old in earlier}
            found = list_checkpoints(out)
            value = float(load_checkpoint(out).weights["weight"][0])
            assert value in (10.0, before[earlier[-1]]) and found
            if step == earlier[-1]:
                assert any(path.name.startswith(f"step_{step:08d}") for path in found)
        if complete:
            break
    assert complete and number > 8
    assert float(load_checkpoint(out).weights["weight"][0]) == 10.0
    assert len(list_checkpoints(out)) <= 2 and not [path for path in (out / "checkpoints").iterdir() if path.name[0] == "."]
    save_checkpoint(out, step, state(11))  # a third one of the same step
    assert float(load_checkpoint(out).weights["weight"][0]) == 11.0


def small_model():
    torch.manual_seed(0)
    return cdzoo.create_model("glmamba_tiny", backbone_kwargs={"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2})


@pytest.fixture(scope="module")
def samples():
    return [SyntheticScenes(4, 40, seed=1, unchanged=0)[i] for i in range(4)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, samples):
    """Return the folder of a run of six steps, and a function that loads the state of such a folder."""
    out = tmp_path_factory.mktemp("trained")
    train(small_model(), samples, samples, QUICK, out)
    identity = load_checkpoint(out).state["train"]["identity"]
    model = small_model()
    return out, functools.partial(load, new=TrainState(identity, 2), model=model, setup=prepare(model, QUICK))


def cut(file):
    os.truncate(file, file.stat().st_size // 2)


def flip(file):
    with file.open("r+b") as opened:
        opened.seek(-9, os.SEEK_END)
        opened.write(bytes(255 - byte for byte in opened.read(1)))


def rewritten(change):
    def damage(file):
        good = torch.load(file, weights_only=True)
        torch.save(change(good), file)
        (file.parent / "SHA256SUMS").unlink()  # as if written so

    return damage


DAMAGES = {
    "cut off": ("state.pt", cut),
    "weights cut off": ("weights.safetensors", cut),
    "a bit of the weights": ("weights.safetensors", flip),
    "a bit of the state": ("state.pt", flip),
    "empty": ("state.pt", lambda file: file.write_bytes(b"")),
    "text": ("state.pt", lambda file: file.write_text("state")),
    "no weights": ("weights.safetensors", lambda file: file.unlink()),
    "no state": ("state.pt", lambda file: file.unlink()),
    "a list": ("state.pt", rewritten(lambda good: [1, 2])),
    "None": ("state.pt", rewritten(lambda good: None)),
    "a tensor": ("state.pt", rewritten(lambda good: torch.zeros(3))),
    "no entry": ("state.pt", rewritten(lambda good: {key: value for key, value in good.items() if key != "train"})),
    "an entry of another type": ("state.pt", rewritten(lambda good: {**good, "train": {**good["train"], "step": "six"}})),
    "a negative step": ("state.pt", rewritten(lambda good: {**good, "train": {**good["train"], "step": -6}})),
    "an unknown entry": ("state.pt", rewritten(lambda good: {**good, "train": {**good["train"], "other": 1}})),
    "another optimizer": ("state.pt", rewritten(lambda good: {**good, "optimizer": {"state": {}, "param_groups": []}})),
    "no sums": ("SHA256SUMS", lambda file: file.unlink()),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_state_is_named_and_the_one_before_is_used(trained, tmp_path, name):
    whole, read = trained
    file, damage = DAMAGES[name]
    out = shutil.copytree(whole, tmp_path / "run")
    damage(out / "checkpoints" / "step_00000006" / file)
    with pytest.warns(UserWarning, match=r"step_00000006: the training state is damaged .*continues from step_00000004"):
        assert read(out).step == 4
    damage(out / "checkpoints" / "step_00000004" / file)
    with pytest.raises(WeightsError, match=r"step_00000006: the training state is damaged .*no other one.*another --out"):
        read(out)


def test_a_run_continued_from_the_state_before_ends_like_the_whole_one(trained, samples, tmp_path):
    whole, _ = trained
    out = shutil.copytree(whole, tmp_path / "run")
    cut(out / "checkpoints" / "step_00000006" / "state.pt")
    with pytest.warns(UserWarning, match="continues from step_00000004"):
        train(small_model(), samples, samples, QUICK, out, resume=True)
    for name in ("step_00000006", "step_00000006.1"):
        assert (out / "checkpoints" / name).is_dir() is (name[-1] == "1")
    weights = [list_checkpoints(folder)[-1] / "weights.safetensors" for folder in (whole, out)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert (whole / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_best_weights_of_a_later_step_are_not_taken_for_those_of_an_earlier_one(trained, tmp_path):
    whole, read = trained
    out = shutil.copytree(whole, tmp_path / "run")
    state = read(out)
    assert state.best is not None
    earlier = dataclasses.replace(state, best=dataclasses.replace(state.best, step=2, epoch=1))
    save(out, earlier, read.keywords["model"], read.keywords["setup"])
    assert read(out).best == earlier.best
    write_tensors(out / "model.safetensors", {name: value + 1 for name, value in earlier.best.weights.items()})
    with pytest.warns(UserWarning, match="model.safetensors are not the best weights until step 6"):
        assert read(out).best is None


class Full:
    """Fails like a full disk from a given number of written bytes on."""

    def __init__(self, monkeypatch, room):
        self.room, real = room, Path.write_bytes

        def write_bytes(path, data):
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return real(path, data)

        monkeypatch.setattr(Path, "write_bytes", write_bytes)


@pytest.mark.parametrize("room", [0, 100, 400])
def test_a_full_disk_ends_the_writing_with_the_last_state_kept(tmp_path, monkeypatch, room):
    save_checkpoint(tmp_path, 2, state(2))
    Full(monkeypatch, room)
    with pytest.raises(TrainingError, match=r"cannot be written \(No space left on device\).*cdzoo train --resume"):
        save_checkpoint(tmp_path, 4, Checkpoint({"weight": torch.zeros(300)}, state(4).weights, {}))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000002"]
    assert float(load_checkpoint(tmp_path).weights["weight"][0]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("task", "few"), [("binary", "3"), ("semantic", "2"), ("damage", "2")])
def test_trainings_that_are_killed_at_random_moments_end_like_the_whole_one(tmp_path, task, few):
    """A few kills; `CDZOO_FUZZ=200 pytest -k random_moments` makes more."""
    kills, seed = os.environ.get("CDZOO_FUZZ", few), os.environ.get("CDZOO_SEED", "3")
    command = [sys.executable, str(Path(__file__).with_name("kills.py")), str(tmp_path), kills, seed, task]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == int(kills) and found["ends"] >= 1, found
    assert found["errors"] == found["other ends"] == 0, found

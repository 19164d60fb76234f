"""A resumed run ends like an uninterrupted one."""

import dataclasses
import json
import os
import signal

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import cdzoo
from cdzoo.data.folder import FolderPairs
from cdzoo.data.protocols import get_protocol
from cdzoo.engine.checkpoint import list_checkpoints, read_checkpoint
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.log import CsvLog
from cdzoo.errors import ConfigError, InputError, TrainingStopped, WeightsError
from cdzoo.results import ProtocolRecord

QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu")


@pytest.fixture
def samples(pair_folder):
    return FolderPairs(pair_folder(4, 40))


def run(tiny, samples, out, resume=False, **changes):
    torch.manual_seed(0)
    model = tiny()
    return train(model, samples, samples, TrainCfg(**{**QUICK.__dict__, **changes}), out, resume=resume)


def rates(out):
    rows = [line.split(",") for line in (out / "log.csv").read_text().splitlines()[1:]]
    return {int(row[0]): float(row[2]) for row in rows}


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_resuming_with_more_epochs_continues_at_the_right_rate(tiny, samples, tmp_path, schedule):
    run(tiny, samples, tmp_path / "short", epochs=2, schedule=schedule, ema=0.9)
    run(tiny, samples, tmp_path / "short", resume=True, epochs=5, schedule=schedule, ema=0.9)
    run(tiny, samples, tmp_path / "long", epochs=5, schedule=schedule, ema=0.9)
    short, long = rates(tmp_path / "short"), rates(tmp_path / "long")
    assert list(short) == list(long) == [2, 4, 6, 8, 10]
    assert [short[step] for step in (6, 8, 10)] == [long[step] for step in (6, 8, 10)]
    assert all(rate > 0 for rate in short.values()) and short[4] < long[4]
    before = read_checkpoint(list_checkpoints(tmp_path / "short")[-2]).weights
    after = read_checkpoint(list_checkpoints(tmp_path / "short")[-1]).weights
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_resuming_a_complete_run_changes_nothing(tiny, samples, tmp_path):
    first = run(tiny, samples, tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert run(tiny, samples, tmp_path, resume=True) == first
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_resuming_requires_the_same_settings_data_and_model(tiny, samples, tmp_path):
    run(tiny, samples, tmp_path)
    with pytest.raises(ConfigError, match=r"resumed with its own settings, .*: lr was 0.001, now 0.01\. .*another --out"):
        run(tiny, samples, tmp_path, resume=True, lr=1e-2)
    with pytest.raises(ConfigError, match="number of training samples was 4, now 3"):
        run(tiny, [samples[i] for i in range(3)], tmp_path, resume=True)
    facts = {"protocol": ProtocolRecord.of(get_protocol(None), {"val": ["other"]}), "data": {"value_range": [0, 100]}}
    with pytest.raises(
        ConfigError, match=r"data.value_range was None, now \[0, 100\], hash of protocol and sample names was None"
    ):
        train(tiny(), samples, samples, QUICK, tmp_path, facts=facts, resume=True)
    run(tiny, samples, tmp_path, resume=True, epochs=3, progress=False, validate_every=2)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"fusion": "diff"}, "model.fusion.name was 'bfa', now 'diff'"),
        ({"backbone_kwargs": {"scan": "corners"}}, r"model.backbone.kwargs.scan was .*now 'corners'"),
        ({"mean": (0.1,)}, r"model.mean was \[0.485, .*now \[0.1\]"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_resuming_requires_the_same_model(tiny, samples, tmp_path, other, message):
    run(tiny, samples, tmp_path, epochs=1)
    with pytest.raises(ConfigError, match=message):
        train(tiny(**other), samples, samples, dataclasses.replace(QUICK, epochs=2), tmp_path, resume=True)


@pytest.mark.parametrize(("folder", "kind"), [("A", "images"), ("B", "images"), ("label", "masks")])
@pytest.mark.parametrize("source", ["files", "list"])
def test_resuming_requires_the_same_pixels(tiny, pair_folder, tmp_path, folder, kind, source):
    root = pair_folder(2, 40)
    read = FolderPairs if source == "files" else lambda root: list(FolderPairs(root))
    run(tiny, read(root), tmp_path / "run", epochs=1)
    file = root / folder / "pair_1.png"
    times = file.stat()
    with Image.open(file) as image:
        image.transpose(Image.Transpose.ROTATE_180).save(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    kind = kind if source == "list" else f"{kind[:-1]} files"
    message = f"the content of the training {kind} is another, the content of the validation {kind} is another"
    with pytest.raises(ConfigError, match=message):
        run(tiny, read(root), tmp_path / "run", epochs=2, resume=True)


def test_best_weights_missing_after_a_kill_are_restored(tiny, samples, tmp_path):
    first = run(tiny, samples, tmp_path, epochs=1)
    kept = {name: (tmp_path / name).read_bytes() for name in ("model.safetensors", "config.json")}
    for name in (*kept, "results.json"):
        (tmp_path / name).unlink()
    assert run(tiny, samples, tmp_path, epochs=1, resume=True) == first
    assert all((tmp_path / name).read_bytes() == data for name, data in kept.items())
    assert json.loads((tmp_path / "results.json").read_text())["scores"] == first.scores.to_dict()


def test_a_new_run_removes_the_training_states_of_an_earlier_one(tiny, samples, tmp_path):
    run(tiny, samples, tmp_path, epochs=4)
    run(tiny, samples, tmp_path, epochs=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_00000002", "step_00000004"]


def test_two_training_states_are_kept(tiny, samples, tmp_path):
    run(tiny, samples, tmp_path, epochs=5)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_00000008", "step_00000010"]


def test_missing_training_state(tiny, samples, tmp_path):
    with pytest.raises(InputError, match="no training state to resume from"):
        run(tiny, samples, tmp_path, resume=True)


def test_training_states_contain_no_pickled_code(tiny, samples, tmp_path):
    run(tiny, samples, tmp_path, ema=0.9)
    state = torch.load(list_checkpoints(tmp_path)[-1] / "state.pt", weights_only=True)
    assert state.keys() == {"format", "optimizer", "scaler", "train"} and state["train"]["best"]["scores"]["images"] == 4


def test_training_state_of_an_older_version_raises(tiny, samples, tmp_path):
    run(tiny, samples, tmp_path)
    last = list_checkpoints(tmp_path)[-1]
    for path in list_checkpoints(tmp_path):
        (path / "SHA256SUMS").unlink()
        torch.save({"step": 4, "optimizer": {}, "scaler": {}, "best": {"score": -1.0}}, path / "state.pt")
    with pytest.raises(WeightsError, match=r"step_00000004: .*another version of cdzoo.*checkpoint_path='.*weights.safetensors'"):
        run(tiny, samples, tmp_path, resume=True)
    torch.manual_seed(1)
    backbone = {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}
    model = cdzoo.create_model("glmamba_tiny", checkpoint_path=last / "weights.safetensors", backbone_kwargs=backbone)
    expected = load_file(last / "weights.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_a_signal_ends_the_run_after_the_step_with_a_training_state(tiny, samples, tmp_path):
    class SignalingSamples:
        def __init__(self):
            self.reads = 0

        def __len__(self):
            return len(samples)

        def __getitem__(self, index):
            self.reads += signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # not those of the first look at the data
            if self.reads == 5:  # in the third step
                signal.raise_signal(signal.SIGTERM)
            return samples[index]

    with pytest.raises(TrainingStopped, match=r"interrupted by SIGTERM after step 3; continue with: cdzoo train --resume"):
        torch.manual_seed(0)
        train(tiny(), SignalingSamples(), samples, TrainCfg(**{**QUICK.__dict__, "epochs": 3}), tmp_path / "stopped")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert list_checkpoints(tmp_path / "stopped")[-1].name == "step_00000003"
    run(tiny, samples, tmp_path / "stopped", resume=True, epochs=3)
    run(tiny, samples, tmp_path / "whole", epochs=3)
    last = [list_checkpoints(tmp_path / name)[-1] / "weights.safetensors" for name in ("stopped", "whole")]
    assert last[0].read_bytes() == last[1].read_bytes()


def test_resuming_removes_later_rows_of_the_log(tmp_path):
    log = CsvLog(tmp_path)
    for step in (2, 4, 6):
        log.write(step=step, epoch=step // 2, loss=0.5)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("8,4,0.1")  # truncated by a kill
    CsvLog(tmp_path, step=4).write(step=6, epoch=3, loss=0.25)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["2", "4", "6"] and ",0.25," in rows[-1]

"""`cdzoo train` as a job: signals, its exit code, restarts, locks, odd folders."""

import importlib
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from cdzoo.cli.main import main
from cdzoo.io.outputs import exclusive

FIT = importlib.import_module("cdzoo.engine.fit")
TINY = ("--model", "glmamba_tiny", "--backbone-kwargs", '{"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}')
QUICK = ("--crop", "32", "--batch-size", "2", "--device", "cpu", "--progress", "false")


def command(data, out, *words):
    return ["train", *TINY, "--data", str(data), "--out", str(out), *QUICK, *map(str, words)]


class Crash(Exception):
    """A kill: no clean-up of ours runs."""


@pytest.fixture
def killed(monkeypatch, pair_folder, tmp_path):
    """Return data, and the folder of a run that was killed before its first training state."""
    data, out = pair_folder(4), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(FIT, "train_step", lambda *args: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            main(command(data, out, "epochs=1"))
    assert (out / "run.yaml").is_file() and not list(out.rglob("step_*"))
    return data, out


@pytest.mark.parametrize("way", ["resume", "the same command"])
def test_a_run_killed_before_its_first_state_goes_on_either_way(killed, capsys, way):
    data, out = killed
    (out / "notes.txt").write_text("mine")
    words = ["train", "--resume", str(out)] if way == "resume" else command(data, out, "epochs=1")
    assert main(words) == 0
    assert ("no training state yet, so the run starts at its beginning" in capsys.readouterr().out) is (way == "resume")
    assert (out / "model.safetensors").is_file() and (out / "notes.txt").read_text() == "mine"
    assert main(command(data, out, "epochs=1")) == 2
    assert "already exists; resume with" in capsys.readouterr().err


def test_more_epochs_are_kept_for_the_next_resume(killed, capsys):
    _, out = killed
    assert main(["train", "--resume", str(out)]) == 0
    assert main(["train", "--resume", str(out), "epochs=2"]) == 0
    assert yaml.safe_load((out / "run.yaml").read_text())["epochs"] == 2
    assert main(["train", "--resume", str(out), "lr=0.5"]) == 2
    assert "lr was 0.0001, now 0.5" in capsys.readouterr().err
    assert yaml.safe_load((out / "run.yaml").read_text())["lr"] == 1e-4
    assert main(["train", "--resume", str(out)]) == 0
    assert len((out / "log.csv").read_text().splitlines()) == 3


def test_weights_without_a_training_state_are_not_overwritten(killed, capsys):
    _, out = killed
    (out / "model.safetensors").write_bytes(b"weights")
    assert main(["train", "--resume", str(out)]) == 2
    assert "there are weights but no training state" in capsys.readouterr().err
    assert (out / "model.safetensors").read_bytes() == b"weights"


def test_a_stopped_run_exits_with_75(killed, capsys, monkeypatch):
    _, out = killed
    real = FIT.train_step

    def step(*args):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # passed on by a launcher
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(FIT, "train_step", step)
        assert main(["train", "--resume", str(out), "epochs=3"]) == 75
    assert f"interrupted by SIGTERM after step 1; continue with: cdzoo train --resume {out}" in capsys.readouterr().err
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step_00000001"]


@pytest.mark.parametrize("words", [["--out", "{out}", "--overwrite"], ["--resume", "{out}"]])
def test_a_folder_at_work_is_left_alone(killed, capsys, words):
    data, out = killed
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    hold = f"from cdzoo.io.outputs import exclusive\nwith exclusive({str(out)!r}): print(flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.readline()
        words = [word.format(out=out) for word in words]
        start = ["train"] if "--resume" in words else ["train", *TINY, "--data", str(data), *QUICK]
        assert main([*start, *words]) == 2
        assert "another run writes here" in capsys.readouterr().err
        (out / ".lock").unlink(missing_ok=True)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    finally:
        holder.communicate(b"\n")


def test_one_thread_may_lock_a_folder_twice(tmp_path):
    with exclusive(tmp_path):
        with exclusive(tmp_path / ".." / tmp_path.name):
            assert (tmp_path / ".lock").exists()
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


ODD = {
    "a file": lambda out: out.write_text("notes"),
    "below a file": lambda out: out.parent.write_text("notes"),
    "a broken link": lambda out: out.symlink_to(out.parent / "nothing" / "there"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_output_is_named(pair_folder, tmp_path, capsys, name):
    out = tmp_path / "place" / "run"
    if name != "below a file":
        out.parent.mkdir()
    ODD[name](out)
    assert main(command(pair_folder(2), out)) == 2
    error = capsys.readouterr().err
    assert str(out) in error and "choose another --out" in error


ODD_RUNS = [
    "",
    "[1, 2]",
    "text",
    "a: [",
    "unknown: 1",
    "epochs: many",
    "\0",
    "seeds: {}",
    "model: 3",
    "data: [1]",
    "!!python/name:os.x",
]


@pytest.mark.parametrize("text", ODD_RUNS)
def test_an_odd_run_file_is_named(tmp_path, capsys, text):
    (tmp_path / "run.yaml").write_text(text)
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("cdzoo: error: ")


@pytest.mark.parametrize("option", ["--init", "--model", "--checkpoint-path", "--data"])
def test_a_run_does_not_overwrite_what_it_starts_from(tmp_path, capsys, option):
    source = tmp_path / "run" / "model.safetensors"
    source.parent.mkdir()
    source.write_bytes(b"weights")
    named = source if option == "--checkpoint-path" else source.parent
    words = {"--model": "fc_ef", "--data": "x", option: str(named), "--out": str(tmp_path / "." / "run")}
    assert main(["train", *(word for pair in words.items() for word in pair), "--overwrite"]) == 2
    assert f"{option} {named}: is in the folder of the run" in capsys.readouterr().err
    assert source.read_bytes() == b"weights"


def test_resume_and_out_are_exclusive(tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("model: fc_ef\ndata: x\n")
    assert main(["train", "--resume", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "leave --out and --overwrite out" in capsys.readouterr().err


@pytest.mark.slow
def test_sigterm_to_all_processes_of_a_job_leaves_a_state(pair_folder, tmp_path):
    out = tmp_path / "run"
    words = command(pair_folder(8), out, "epochs=500", "workers=2", "validate_every=500")
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen([sys.executable, "-m", "cdzoo", *words], stdout=log, stderr=log, start_new_session=True)
    try:
        while not list(out.glob("checkpoints/step_*")) and job.poll() is None:
            time.sleep(0.05)
        os.killpg(job.pid, signal.SIGTERM)
        assert job.wait(60) == 75
    finally:
        job.kill()
    lines = (tmp_path / "log").read_text().strip().splitlines()
    assert lines[-1].startswith("cdzoo: interrupted by SIGTERM after step ") and lines[-1].endswith(f"--resume {out}")

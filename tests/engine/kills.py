"""Trainings that are killed at random moments and resumed: `python kills.py OUT KILLS SEED [TASK]` prints JSON, the last line
counts.

Each training is a forked process. Six in ten kills come at a random file operation of the writing of training states, the others
at a random time. A run that ends is compared with one that was never killed, and the next one is started.
"""

import dataclasses
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import torch

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.data.synthetic.classes import TASKS
from cdzoo.engine import TrainCfg, state, train
from cdzoo.engine.checkpoint import list_checkpoints

CALLS = ("replace", "rename", "rmdir", "unlink", "remove", "mkdir", "fsync", "open")
OPERATIONS = 90
CFG = TrainCfg(
    epochs=2,
    batch_size=2,
    crop=32,
    lr=2e-3,
    optimizer="adamw",
    schedule="cosine",
    warmup_steps=2,
    loss="bce+dice",
    ema=0.5,
    clip_norm=1.0,
    jitter=0.2,
    cutmix=0.3,
    swap_dates=0.5,
    deterministic=True,
    checkpoint_every=1,
    progress=False,
    device="cpu",
)
BACKBONE = {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2, "drop_path": 0.2}


def start(out, samples, operation=0, seconds=0.0, task="binary"):
    """Train or resume in a forked process; return its exit code.

    It kills itself at a file operation of the writing of training states, or some seconds after the first one.
    """
    if (pid := os.fork()) == 0:
        code = 1
        try:
            if operation or seconds:
                arm(operation, seconds)
            torch.manual_seed(0)
            model = cdzoo.create_model("glmamba_tiny", backbone_kwargs=BACKBONE, task=task, class_names=TASKS[task])
            cfg = dataclasses.replace(CFG, swap_dates=CFG.swap_dates if model.task.swappable else 0.0)
            train(model, samples, samples, cfg, out, resume=bool(list_checkpoints(out)))
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def arm(operation, seconds):
    left, writing, save = [operation], [False], state.save_checkpoint

    def armed(*args):
        if seconds and left[0] == 0:
            left[0] = -1
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        writing[0] = True
        save(*args)
        writing[0] = False

    def counted(real):
        def call(*args, **options):
            left[0] -= writing[0] and operation > 0
            if operation and left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    state.save_checkpoint = armed
    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def content(out):
    last = list_checkpoints(out)[-1]
    files = [last / "weights.safetensors", last / "ema.safetensors", out / "model.safetensors"]
    log = [row.split(",")[:9] for row in (out / "log.csv").read_text().splitlines()]
    return last.name.partition(".")[0], [file.read_bytes() for file in files], log


def main(place, kills, seed, task="binary"):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    draw = random.Random(seed)
    samples = [SyntheticScenes(4, 40, seed=1, unchanged=0, task=task)[i] for i in range(4)]
    began = time.monotonic()
    assert start(place / "whole", samples, task=task) == 0
    duration = time.monotonic() - began
    whole = content(place / "whole")
    found = {"kills": 0, "before the first": 0, "ends": 0, "other ends": 0, "errors": 0}
    out = place / "run0"
    while found["kills"] < kills or out.exists():
        last = found["kills"] >= kills
        at = (draw.randint(1, OPERATIONS), 0.0) if draw.random() < 0.6 else (0, draw.uniform(0.0, 0.4) * duration)
        code = start(out, samples, *((0, 0.0) if last else at), task)
        if code == -signal.SIGKILL:
            found["kills"] += 1
            found["before the first"] += not list_checkpoints(out)
        elif code == 0:
            found["ends"] += 1
            found["other ends"] += content(out) != whole
            out = place / f"run{found['ends']}"
        else:
            found["errors"] += 1
            out = place / f"failed{found['errors']}"
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])

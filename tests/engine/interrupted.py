"""A training run that kills itself: `python interrupted.py OUT EPOCHS KILL_AFTER_SECONDS [resume]`."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.engine import TrainCfg, train


class KillingSamples:
    """Samples; reading the first one starts a timer that kills the process."""

    def __init__(self, seconds: float) -> None:
        self.samples = [SyntheticScenes(12, 48, seed=1)[i] for i in range(12)]
        self.seconds = seconds
        self.armed = seconds > 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> object:
        if self.armed:
            self.armed = False
            timer = threading.Timer(self.seconds, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True  # does not delay a run that ends earlier
            timer.start()
        return self.samples[index]


def main(out: Path, epochs: int, seconds: float, resume: bool) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = cdzoo.create_model(
        "glmamba_tiny",
        backbone_kwargs={"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2, "drop_path": 0.2},
    )
    samples = KillingSamples(seconds)
    cfg = TrainCfg(
        epochs=epochs,
        batch_size=4,
        crop=32,
        lr=2e-3,
        optimizer="adamw",
        schedule="constant",
        warmup_steps=3,
        loss="bce+dice",
        ema=0.9,
        clip_norm=1.0,
        jitter=0.2,
        cutmix=0.3,
        swap_dates=0.5,
        deterministic=True,
        checkpoint_every=1,
        progress=False,
        device="cpu",
    )
    began = time.monotonic()
    train(model, samples, samples.samples[:4], cfg, out, resume=resume)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), "resume" in sys.argv[4:])

"""`RunLog`: progress bar, `log.csv` and TensorBoard of a training run."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from cdzoo.errors import require
from cdzoo.io.files import replace_atomically
from cdzoo.metrics import SUMMARY_SCORES, Scores

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

FILE = "log.csv"
COLUMNS = (
    *("step", "epoch", "lr", "loss", *SUMMARY_SCORES),
    *("best_threshold", "skipped_steps", "pairs_per_s", "data_wait"),
)
_MAX_PICTURE_WIDTH = 1600


class RunLog:
    """Progress and log of a training run. Used as a context manager.

    Args:
        out: Folder of the run; None writes no files.
        total: Steps of the run.
        step: Steps done by the run that is resumed. Later rows of its log are removed: they will be written again.
        device: Device of the model.
        tensorboard: Write TensorBoard events too.
        progress: Show the progress bar.
        labels: Further entries of the progress bar.

    Raises:
        MissingDependencyError: TensorBoard is requested and not installed.
    """

    def __init__(
        self,
        out: Path | None,
        total: int,
        step: int = 0,
        device: torch.device | str = "cpu",
        tensorboard: bool = False,
        progress: bool = False,
        labels: dict[str, str] | None = None,
    ) -> None:
        self.path = None if out is None else out / FILE
        self.device, self.labels = torch.device(device), labels or {}
        self.f1: float | None = None
        self.writer: Any = None
        if self.path is not None:
            _cut_rows(self.path, step)
        if out is not None and tensorboard:
            module = require("torch.utils.tensorboard", "log", "tensorboard=true")
            self.writer = module.SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)
        self.bar = tqdm(total=total, initial=step, desc="training", unit="step", dynamic_ncols=True, disable=not progress)
        self.start_epoch()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def start_epoch(self) -> None:
        """Reset the throughput of the epoch."""
        self._start, self._waited, self._pairs = time.perf_counter(), 0.0, 0

    def step(self, pairs: int, waited: float, loss: float | None, skipped: int) -> None:
        """Advance the progress bar by one step.

        Args:
            pairs: Number of pairs of the step.
            waited: Seconds spent waiting for data.
            loss: Loss of the step; None if it was skipped.
            skipped: Number of skipped steps of the run.
        """
        self._pairs += pairs
        self._waited += waited
        entries = {"loss": "-" if loss is None else f"{loss:.3f}"}
        if self.f1 is not None:
            entries["F1"] = f"{self.f1:.3f}"
        entries |= {"pairs/s": f"{self._rate():.1f}", "wait": f"{self._waiting():.0%}", "mem": self._memory(), **self.labels}
        if skipped:
            entries["skipped"] = str(skipped)
        self.bar.set_postfix(entries, refresh=False)
        self.bar.update()

    def epoch(self, step: int, epoch: int, lr: float, loss: float, skipped: int, scores: Scores | None) -> None:
        """Write the row of an epoch.

        Args:
            step: Steps done.
            epoch: Epochs done.
            lr: Learning rate of the last step.
            loss: Mean loss of the epoch.
            skipped: Number of skipped steps of the run.
            scores: Scores on the validation split; None if the epoch was not validated.
        """
        row: dict[str, Any] = {"step": step, "epoch": epoch, "lr": lr, "loss": loss, "skipped_steps": skipped}
        row |= {"pairs_per_s": self._rate(), "data_wait": self._waiting()}
        if scores is not None:
            self.f1 = scores.f1
            row |= {name: scores[name] for name in (*SUMMARY_SCORES, "best_threshold")}
        self.write(row)
        self.start_epoch()

    def write(self, row: dict[str, Any]) -> None:
        """Append a row; missing columns stay empty."""
        if self.path is not None:
            shown = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, COLUMNS).writerow(shown)
        if self.writer is not None:
            for name, value in row.items():
                if name != "step" and isinstance(value, int | float):
                    self.writer.add_scalar(name, value, row["step"])
            self.writer.flush()

    def picture(self, picture: Image.Image, epoch: int, step: int) -> None:
        """Write a picture to `pictures/epoch_XXXX.png` and to TensorBoard."""
        if self.path is None:
            return
        folder = self.path.parent / "pictures"
        folder.mkdir(exist_ok=True)
        with replace_atomically(folder / f"epoch_{epoch:04d}.png") as temporary:
            picture.save(temporary)
        if self.writer is not None:
            if picture.width > _MAX_PICTURE_WIDTH:
                picture = picture.resize((_MAX_PICTURE_WIDTH, round(picture.height * _MAX_PICTURE_WIDTH / picture.width)))
            self.writer.add_image("validation", np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def _rate(self) -> float:
        return self._pairs / max(1e-9, time.perf_counter() - self._start)

    def _waiting(self) -> float:
        return self._waited / max(1e-9, time.perf_counter() - self._start)

    def _memory(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.1f}G"
        if resource is None:
            return "-"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"{peak / (2**30 if sys.platform == 'darwin' else 2**20):.1f}G"


def _cut_rows(path: Path, step: int) -> None:
    """Start a log, keeping the rows up to `step` of an existing one."""
    rows: list[dict[str, str]] = []
    if step and path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            # A row that was cut off when the process was killed has no step or too few columns.
            complete = [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit() and None not in row.values()]
        rows = [row for row in complete if int(row["step"]) <= step]
    with replace_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)

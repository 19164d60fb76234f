"""One progress line for a whole training run."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from cdzoo.errors import MissingDependencyError
from cdzoo.io.files import replace_atomically
from cdzoo.ops.backends import choose

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class ProgressLine:
    """Shows steps done and left, time left, loss, last validation F1, pairs a second, waiting, memory and scan backend.

    Args:
        total: Steps of the run.
        done: Steps done already, by the run that is continued.
        device: Where the model is.
        scans: Whether the model has a selective scan at all.
        shown: Draw the line; the figures are kept in any case.
    """

    def __init__(self, total: int, done: int, device: torch.device, scans: bool, shown: bool) -> None:
        self.device = device
        self.backend = choose(device.type) if scans else ""
        self.f1: float | None = None
        self.bar = tqdm(total=total, initial=done, desc="training", unit="step", dynamic_ncols=True, disable=not shown)
        self.reset()

    def reset(self) -> None:
        """Begin new figures, at the start of an epoch."""
        self.began = time.perf_counter()
        self.waited = 0.0
        self.pairs = 0

    def step(self, pairs: int, waited: float, loss: float | None, skipped: int) -> None:
        """Move on by one step of `pairs` pairs that waited `waited` seconds for its data."""
        self.pairs += pairs
        self.waited += waited
        facts = {"loss": "-" if loss is None else f"{loss:.3f}"}
        if self.f1 is not None:
            facts["F1"] = f"{self.f1:.3f}"
        facts |= {"pairs/s": f"{self.rate():.1f}", "wait": f"{self.waiting():.0%}", "mem": self._memory()}
        if self.backend:
            facts["scan"] = self.backend
        if skipped:
            facts["skipped"] = str(skipped)
        self.bar.set_postfix(facts, refresh=False)
        self.bar.update()

    def rate(self) -> float:
        """Return pairs per second of this epoch, over all devices."""
        return self.pairs / max(1e-9, time.perf_counter() - self.began)

    def waiting(self) -> float:
        """Return the share of this epoch's time that was spent waiting for data."""
        return self.waited / max(1e-9, time.perf_counter() - self.began)

    def close(self) -> None:
        """Leave the last state of the line on the screen."""
        self.bar.close()

    def _memory(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.1f}G"
        if resource is None:
            return "-"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"{peak / (2**30 if sys.platform == 'darwin' else 2**20):.1f}G"


FILE = "log.csv"
COLUMNS = (
    "step",
    "epoch",
    "lr",
    "loss",
    "precision",
    "recall",
    "f1",
    "iou",
    "oa",
    "kappa",
    "mean_image_f1",
    "best_threshold",
    "skipped_steps",
    "pairs_per_s",
    "data_wait",
)


class Logbook:
    """Appends a row per epoch.

    Args:
        out: Folder of the run.
        step: Rows after this step are dropped: they are of a run that was interrupted, and will be written again.
        tensorboard: Write TensorBoard events too.

    Raises:
        MissingDependencyError: TensorBoard is asked for and not installed.
    """

    def __init__(self, out: Path, step: int = 0, tensorboard: bool = False) -> None:
        self.path = out / FILE
        rows = [row for row in self._rows() if int(row["step"]) <= step] if step else []
        with replace_atomically(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        self.board: Any = _board(out, step) if tensorboard else None

    def write(self, **values: Any) -> None:
        """Add a row; columns that are not given stay empty."""
        shown = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in values.items()}
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(shown)
        if self.board is not None:
            for name, value in values.items():
                if name != "step" and isinstance(value, int | float):
                    self.board.add_scalar(name, value, values["step"])
            self.board.flush()

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show a picture (H, W, 3) uint8 in TensorBoard; without it nothing happens."""
        if self.board is not None:
            self.board.add_image(name, pixels, step, dataformats="HWC")

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            # A row that was cut off by a kill has no step or too few columns.
            return [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit() and None not in row.values()]


def _board(out: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(f"tensorboard=true needs TensorBoard: pip install 'cdzoo[log]' ({error})") from error
    return SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

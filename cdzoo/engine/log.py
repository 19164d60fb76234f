"""Log of a training run: a CSV file, further loggers, validation pictures and a progress bar."""

from __future__ import annotations

import csv
import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from cdzoo.engine.config import TrainCfg
from cdzoo.engine.loggers import RunLogger
from cdzoo.engine.semi import SEMI_COLUMNS
from cdzoo.engine.state import TrainState
from cdzoo.io.files import replace_atomically
from cdzoo.io.progress import tqdm
from cdzoo.layers import SS2D
from cdzoo.metrics import SUMMARY_SCORES, Scores
from cdzoo.models.detector import ChangeDetector
from cdzoo.ops.backends import choose

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

T = TypeVar("T")

FILE = "log.csv"
_BEFORE = ("step", "epoch", "lr", "loss")
_AFTER = ("best_threshold", "skipped_steps", "pairs_per_s", "data_wait")


class CsvLog:
    """CSV file with one row per epoch.

    Args:
        out: Folder of the run.
        step: Rows after this step are removed: a resumed run writes them again.
        scores: Names of the scores.
    """

    def __init__(self, out: Path, step: int = 0, scores: Sequence[str] = SUMMARY_SCORES) -> None:
        self.path, self.columns = out / FILE, (*_BEFORE, *scores, *_AFTER)
        rows: list[dict[str, str]] = []
        if step and self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                # A row that was truncated by a kill has no step or too few columns.
                complete = (row for row in csv.DictReader(file) if (row.get("step") or "").isdigit() and None not in row.values())
                rows = [row for row in complete if int(row["step"]) <= step]
        with replace_atomically(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)

    def write(self, **values: Any) -> None:
        """Append a row; columns without a value stay empty."""
        shown = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in values.items()}
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(shown)


class RunLog(AbstractContextManager["RunLog"]):
    """Log of a run; use it in a `with` block.

    Args:
        out: Folder of the run; None to show the progress bar only.
        cfg: Settings.
        state: State of the run before its next step.
        model: Model on its device.
        total: Number of steps of the run.
        samples: Number of samples per step, over all devices.
        leader: Whether this is the process that writes and shows the log.

    Raises:
        MissingDependencyError: The package of a logger in `cfg.log` is not installed.
    """

    def __init__(
        self, out: Path | None, cfg: TrainCfg, state: TrainState, model: ChangeDetector, total: int, samples: int, leader: bool
    ) -> None:
        self.device = next(model.parameters()).device
        self.backend = choose(self.device.type) if any(isinstance(module, SS2D) for module in model.modules()) else ""
        self.out = out if leader else None
        self.further = model.task.score_names
        columns = (*SUMMARY_SCORES, *self.further, *(SEMI_COLUMNS if cfg.semi else ()))
        self.csv = CsvLog(self.out, state.step, columns) if self.out else None
        settings = {"model": model.config.name, **dataclasses.asdict(cfg)}
        self.loggers = [RunLogger(kind, self.out, state.step, settings) for kind in dict.fromkeys(cfg.log)] if self.out else []
        hidden = not (leader and cfg.progress)
        self.bar = tqdm(desc="training", unit="step", total=total, initial=state.step, dynamic_ncols=True, disable=hidden)
        self.samples, self.shown = samples, {} if state.best is None else self._scores(state.best.scores)
        self._start_epoch()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.bar.close()
        for logger in self.loggers:
            logger.close(failed=kind is not None)

    def timed(self, batches: Iterable[T]) -> Iterator[T]:
        """Iterate over batches and measure the time spent waiting for them."""
        start = time.perf_counter()
        for batch in batches:
            self._waited += time.perf_counter() - start
            yield batch
            start = time.perf_counter()

    def step(self, loss: float | None, skipped: int) -> None:
        """Advance the progress bar.

        Args:
            loss: Loss of the step; None for a skipped step.
            skipped: Number of skipped steps so far.
        """
        self._seen += self.samples
        shown = {"loss": "-" if loss is None else f"{loss:.3f}"}
        shown |= self.shown
        elapsed = max(1e-9, time.perf_counter() - self._start)
        self._rate, self._wait = self._seen / elapsed, self._waited / elapsed
        shown |= {"pairs/s": f"{self._rate:.1f}", "wait": f"{self._wait:.0%}", "mem": self._memory()}
        if self.backend:
            shown["scan"] = self.backend
        if skipped:
            shown["skipped"] = str(skipped)
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def epoch(
        self, state: TrainState, lr: float, losses: Mapping[str, float], scores: Scores | None, picture: Image.Image | None
    ) -> None:
        """Write the row and the picture of an epoch.

        Args:
            state: State at the end of the epoch.
            lr: Learning rate of the last step.
            losses: Mean `loss` of the epoch, and further means by the name of their column.
            scores: Scores of the validation; None if there was none.
            picture: Picture of validation samples; None if there is none.
        """
        row: dict[str, Any] = {"step": state.step, "epoch": state.epoch, "lr": lr, **losses}
        if scores is not None:
            self.shown = self._scores(scores)
            row |= {name: scores[name] for name in (*SUMMARY_SCORES, *self.further, "best_threshold")}
        row |= {"skipped_steps": state.skipped, "pairs_per_s": self._rate, "data_wait": self._wait}
        if self.csv is not None:
            self.csv.write(**row)
        for logger in self.loggers:
            logger.scores({name: value for name, value in row.items() if name != "step" and value is not None}, state.step)
        if picture is not None and self.out is not None:
            folder = self.out / "pictures"
            folder.mkdir(exist_ok=True)
            with replace_atomically(folder / f"epoch_{state.epoch:04d}.png") as temporary:
                picture.save(temporary)
            for logger in self.loggers:
                logger.picture(picture, state.step)
        self._start_epoch()

    def _scores(self, scores: Scores) -> dict[str, str]:
        """Return what the progress bar shows: F1, and the first score of the task."""
        return {"F1": f"{scores.f1:.3f}", **{name: f"{scores[name]:.3f}" for name in self.further[:1]}}

    def _start_epoch(self) -> None:
        """Restart the measurement of samples per second (over all devices) and of the share of time spent waiting for data."""
        self._start, self._waited, self._seen = time.perf_counter(), 0.0, 0
        self._rate, self._wait = 0.0, 0.0

    def _memory(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.1f}G"
        if resource is None:
            return "-"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"{peak / (2**30 if sys.platform == 'darwin' else 2**20):.1f}G"

"""The log of a run: `log.csv`, and TensorBoard when asked for. A continued run goes on where its checkpoint was made."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from cdzoo.errors import MissingDependencyError
from cdzoo.files import replace_atomically

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

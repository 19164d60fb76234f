"""One progress line for a whole training run."""

from __future__ import annotations

from typing import Any

import lightning as L
from torch import Tensor
from tqdm import tqdm


class ProgressLine(L.Callback):
    """Shows steps done and left, time left, epoch, loss, last validation F1 and training pairs per second."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the line."""
        self.bar = tqdm(total=int(trainer.estimated_stepping_batches), desc="training", unit="step", dynamic_ncols=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int
    ) -> None:
        """Move on by one step."""
        assert self.bar is not None
        shown = {name: trainer.callback_metrics.get(name) for name in ("loss", "F1")}
        facts = {name: f"{value.item():.3f}" for name, value in shown.items() if isinstance(value, Tensor)}
        elapsed = self.bar.format_dict["elapsed"]
        if elapsed > 0:
            facts["pairs/s"] = f"{(self.bar.n + 1) * len(batch['name']) / elapsed:.1f}"
        self.bar.set_postfix({"epoch": f"{trainer.current_epoch + 1}/{trainer.max_epochs}", **facts}, refresh=False)
        self.bar.update()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the last state of the line on the screen."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the line, so that the message starts on one of its own."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

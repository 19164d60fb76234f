"""`TrainState`: everything that a resumed run continues from, besides weights and optimizer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cdzoo.engine.config import TrainCfg
from cdzoo.errors import ConfigError
from cdzoo.metrics import Scores


@dataclass
class TrainState:
    """Counters of a run and identity of its settings and data.

    Attributes:
        step: Optimizer steps done.
        skipped: Skipped steps.
        consecutive_skipped: Skipped steps since the last one that was not.
        loss_sum: Sum of the losses of the current epoch.
        loss_count: Number of losses in the sum.
        lr_factor: Factor of the plateau schedule.
        stale: Validations since the last improvement.
        best_score: Best score on the validation split.
        best_step: Step of the best score; 0 before the first validation.
        best_scores: All scores of that validation.
        settings: Settings that a resumed run must share.
        num_samples: Number of training samples.
        data_hash: Hash of the protocol and the samples.
    """

    step: int = 0
    skipped: int = 0
    consecutive_skipped: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    lr_factor: float = 1.0
    stale: int = 0
    best_score: float = -1.0
    best_step: int = 0
    best_scores: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    num_samples: int = 0
    data_hash: str = ""

    @classmethod
    def from_dict(cls, data: dict[str, Any], out: Path) -> TrainState:
        """Read a state from a checkpoint.

        Raises:
            ConfigError: The checkpoint was written by an earlier version of cdzoo.
        """
        names = [f.name for f in fields(cls)]
        if missing := [name for name in names if name not in data]:
            raise ConfigError(
                f"{out}: the training state was written by another version of cdzoo (it lacks {', '.join(missing[:3])}); finish "
                "the run with that version, or start a new run with another --out"
            )
        return cls(**{name: data[name] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def check_resumable(self, out: Path, cfg: TrainCfg, num_samples: int, data_hash: str) -> None:
        """Raise `ConfigError` unless settings and data are those of the run that is resumed."""
        changed = {name: value for name, value in cfg.fixed().items() if self.settings.get(name) != value}
        if changed:
            shown = ", ".join(f"{name} was {self.settings.get(name)!r}, now {value!r}" for name, value in changed.items())
            raise ConfigError(f"{out}: a resumed run keeps its settings: {shown}. Start a new run with another --out")
        if self.num_samples != num_samples or self.data_hash != data_hash:
            raise ConfigError(
                f"{out}: the run was trained on {self.num_samples} pairs, now there are {num_samples}, or other pairs or another "
                f"protocol; pass the same data, or start a new run with another --out"
            )

    def add_loss(self, loss: float) -> None:
        """Add the loss of a step to the mean of the epoch."""
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1

    def pop_loss(self) -> float:
        """Return the mean loss of the epoch and start a new one; NaN if every step was skipped."""
        mean = self.loss_sum / self.loss_count if self.loss_count else float("nan")
        self.loss_sum, self.loss_count = 0.0, 0
        return mean

    def keep_best(self, scores: Scores, metric: str, cfg: TrainCfg) -> bool:
        """Update the best score and the plateau schedule; return whether the score improved."""
        if scores[metric] > self.best_score:
            self.best_score, self.best_step, self.best_scores, self.stale = scores[metric], self.step, scores.to_dict(), 0
            return True
        self.stale += 1
        if self.stale >= cfg.lr_decay_epochs:
            self.lr_factor, self.stale = self.lr_factor * cfg.lr_decay, 0
        return False

"""How to train, without importing torch: the command line shows it before anything heavy is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cdzoo.errors import ConfigError


@dataclass(frozen=True)
class TrainCfg:
    """How to train. The defaults are the GLMamba paper's but for the number of epochs (500 there).

    Attributes:
        epochs: Passes over the training pairs.
        batch_size: Pairs per step.
        lr: Learning rate at the start; polynomial decay, power 0.9.
        crop: Side of the random training crops in pixels.
        seed: Seed of weights' order of use: shuffling, crops and flips.
        threshold: Probability from which a pixel counts as changed.
        validate_every: Epochs between validations.
        workers: Processes that load data; 0 loads in the main process.
        device: `"auto"`, `"cpu"`, `"cuda"` or `"mps"`.
        progress: Show a progress bar.
    """

    epochs: int = 100
    batch_size: int = 16
    lr: float = 1e-4
    crop: int = 256
    seed: int = 0
    threshold: float = 0.5
    validate_every: int = 1
    workers: int = 0
    device: str = "auto"
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot train."""
        for name in ("epochs", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.crop < 32:
            raise ConfigError(f"crop must be at least 32 pixels, got {self.crop}")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise ConfigError(f"lr must be positive, got {self.lr}")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must be between 0 and 1, got {self.threshold}")
        if self.device not in ("auto", "cpu", "cuda", "mps"):
            raise ConfigError(f"device must be auto, cpu, cuda or mps, got '{self.device}'")

"""How to train, without importing torch: the command line shows it before anything heavy is loaded."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from cdzoo.engine.schedule import SCHEDULES
from cdzoo.errors import ConfigError

PRECISIONS = ("fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "mps")

FREE_ON_RESUME = frozenset(
    (
        "epochs",
        "validate_every",
        "pictures_every",
        "checkpoint_every",
        "workers",
        "device",
        "nodes",
        "devices",
        "progress",
        "tensorboard",
    )
)
"""Settings that a continued run may change: all others would make it a different run."""


@dataclass(frozen=True)
class TrainCfg:
    """How to train. The defaults are the GLMamba paper's but for the number of epochs (500 there) and the quarter turns.

    Attributes:
        epochs: Passes over the training pairs.
        batch_size: Pairs per optimizer step, over all devices and micro-batches.
        lr: Full learning rate.
        optimizer: `adam`, `adamw`, `sgd`, or any other that timm knows.
        weight_decay: Of the optimizer.
        decay_all: Decay biases and norms too, as plain optimizers do; otherwise only matrices and kernels are.
        momentum: Of SGD.
        schedule: `poly`, `cosine`, `step`, `exponential`, `constant`, or `plateau` (drops when validation stops improving).
        power: Exponent of the poly schedule; 1 is linear.
        warmup_steps: Steps over which the learning rate rises first.
        lr_decay: Factor of the step, exponential and plateau schedules.
        lr_decay_epochs: Epochs (plateau: validations without improvement) between two applications of lr_decay.
        loss: `bce` (cross-entropy for several classes), `dice`, `focal`, `lovasz`, or a sum such as `bce+0.5*dice`.
        change_weight: Weight of changed pixels in the loss.
        clip_norm: Largest norm of the gradient; 0 does not clip.
        accumulate: Micro-batches per optimizer step.
        precision: `fp32`, `bf16` or `fp16` (autocast; the selective scan stays in fp32).
        ema: Decay of an exponential moving average of the weights, which is then validated and saved; 0 for none.
        crop: Side of the random training crops in pixels.
        flips: Mirror at random.
        rotate: Turn by random multiples of 90 degrees.
        scale_min: Smallest magnification.
        scale_max: Largest magnification.
        swap_dates: Probability of exchanging the dates.
        jitter: Strength of brightness, contrast and saturation changes, drawn for each date.
        blur: Probability of blurring an image slightly.
        cutmix: Probability of pasting a rectangle of another pair into a pair.
        seed: Of shuffling, augmentation and dropout.
        deterministic: Refuse operations whose result can vary between runs.
        compile: Compile the model with torch.compile.
        validate_every: Epochs between validations.
        pictures_every: Epochs between pictures of validation pairs; 0 for none.
        checkpoint_every: Steps between checkpoints besides those at the end of each epoch; 0 for none.
        max_bad_steps: Steps in a row with a loss or gradient that is not finite, after which training stops.
        workers: Processes that load data; -1: none on the CPU, up to 8 beside a GPU.
        device: `auto`, `cpu`, `cuda` or `mps`.
        devices: Devices of this machine to train on.
        nodes: Machines.
        progress: Show a progress line.
        tensorboard: Write TensorBoard logs beside the CSV.
    """

    epochs: int = 100
    batch_size: int = 16
    lr: float = 1e-4
    optimizer: str = "adam"
    weight_decay: float = 0.0
    decay_all: bool = False
    momentum: float = 0.9
    schedule: str = "poly"
    power: float = 0.9
    warmup_steps: int = 0
    lr_decay: float = 0.1
    lr_decay_epochs: int = 30
    loss: str = "bce"
    change_weight: float = 1.0
    clip_norm: float = 0.0
    accumulate: int = 1
    precision: str = "fp32"
    ema: float = 0.0
    crop: int = 256
    flips: bool = True
    rotate: bool = True
    scale_min: float = 1.0
    scale_max: float = 1.0
    swap_dates: float = 0.0
    jitter: float = 0.0
    blur: float = 0.0
    cutmix: float = 0.0
    seed: int = 0
    deterministic: bool = False
    compile: bool = False
    validate_every: int = 1
    pictures_every: int = 0
    checkpoint_every: int = 0
    max_bad_steps: int = 10
    workers: int = -1
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    progress: bool = True
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot train."""
        for name in (
            "epochs",
            "batch_size",
            "validate_every",
            "accumulate",
            "devices",
            "nodes",
            "max_bad_steps",
            "lr_decay_epochs",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seed", "warmup_steps", "pictures_every", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("lr", "change_weight", "power", "scale_min"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("weight_decay", "clip_norm"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("swap_dates", "jitter", "blur", "cutmix"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("momentum", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and less than 1, got {getattr(self, name)}")
        if not 0 < self.lr_decay <= 1:
            raise ConfigError(f"lr_decay must be above 0 and at most 1, got {self.lr_decay}")
        if self.scale_max < self.scale_min:
            raise ConfigError(f"scale_max must be at least scale_min={self.scale_min}, got {self.scale_max}")
        if self.crop < 32:
            raise ConfigError(f"crop must be at least 32 pixels, got {self.crop}")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got '{getattr(self, name)}'")

    def fixed(self) -> dict[str, Any]:
        """Return the settings that make the run what it is, which a continued one must share."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in FREE_ON_RESUME}

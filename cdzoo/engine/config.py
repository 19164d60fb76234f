"""`TrainCfg`: settings of a training run. Does not import PyTorch, so that the command line stays fast."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import Field

from cdzoo.errors import ConfigError
from cdzoo.validation import config_dataclass

Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]

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
"""Settings that may change when a run is resumed."""


@config_dataclass
class TrainCfg:
    """Settings of a training run. The defaults are those of the GLMamba paper, except for the epochs (500 there) and `rotate`.

    Attributes:
        epochs: Passes over the training pairs.
        batch_size: Pairs per optimizer step, over all devices and micro-batches.
        lr: Base learning rate.
        optimizer: `adam`, `adamw`, `sgd`, or any other that timm knows.
        weight_decay: Weight decay.
        decay_all: Apply weight decay to biases and norms too, not only to matrices and kernels.
        momentum: Momentum of SGD.
        schedule: `poly`, `cosine`, `step`, `exponential`, `constant`, or `plateau` (follows the validation score).
        power: Exponent of the poly schedule; 1 is linear.
        warmup_steps: Steps of linear warmup.
        lr_decay: Factor of the step, exponential and plateau schedules.
        lr_decay_epochs: Epochs (plateau: validations without improvement) between applications of lr_decay.
        loss: `bce` (cross-entropy for several classes), `dice`, `focal`, `lovasz`, or a sum such as `bce+0.5*dice`.
        change_weight: Weight of changed pixels in the loss.
        clip_norm: Maximum norm of the gradient; 0 disables clipping.
        accumulate: Micro-batches per optimizer step.
        precision: `fp32`, `bf16` or `fp16` (autocast; the selective scan stays in fp32).
        ema: Decay of the exponential moving average of the weights, which is validated and saved; 0 disables it.
        crop: Side of the random training crops in pixels.
        flips: Random horizontal and vertical flips.
        rotate: Random rotations by multiples of 90 degrees.
        scale_min: Minimum random scale.
        scale_max: Maximum random scale.
        swap_dates: Probability of swapping the dates.
        jitter: Strength of random brightness, contrast and saturation, drawn for each date.
        blur: Probability of a 3x3 mean filter.
        cutmix: Probability of CutMix with another pair of the batch.
        seed: Seed of initialization, shuffling, augmentation and dropout.
        deterministic: Use deterministic algorithms only.
        compile: Compile the model with torch.compile.
        validate_every: Epochs between validations.
        pictures_every: Epochs between pictures of validation pairs; 0 disables them.
        checkpoint_every: Steps between checkpoints, besides those at the end of each epoch; 0 disables them.
        max_bad_steps: Consecutive steps with a loss or gradient that is not finite after which training stops.
        workers: Loader processes; -1: none on the CPU, up to 8 with a GPU.
        device: `auto`, `cpu`, `cuda` or `mps`.
        devices: Number of devices per machine.
        nodes: Number of machines.
        progress: Show a progress bar.
        tensorboard: Write TensorBoard logs besides the CSV.
    """

    epochs: Positive = 100
    batch_size: Positive = 16
    lr: PositiveFloat = 1e-4
    optimizer: str = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    decay_all: bool = False
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["poly", "cosine", "step", "exponential", "constant", "plateau"] = "poly"
    power: PositiveFloat = 0.9
    warmup_steps: NonNegative = 0
    lr_decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    lr_decay_epochs: Positive = 30
    loss: str = "bce"
    change_weight: PositiveFloat = 1.0
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    accumulate: Positive = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    crop: Annotated[int, Field(ge=32)] = 256
    flips: bool = True
    rotate: bool = True
    scale_min: PositiveFloat = 1.0
    scale_max: PositiveFloat = 1.0
    swap_dates: Probability = 0.0
    jitter: Probability = 0.0
    blur: Probability = 0.0
    cutmix: Probability = 0.0
    seed: NonNegative = 0
    deterministic: bool = False
    compile: bool = False
    validate_every: Positive = 1
    pictures_every: NonNegative = 0
    checkpoint_every: NonNegative = 0
    max_bad_steps: Positive = 10
    workers: Annotated[int, Field(ge=-1)] = -1
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Positive = 1
    nodes: Positive = 1
    progress: bool = True
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Validate the fields."""
        if self.scale_max < self.scale_min:
            raise ConfigError(f"scale_max must be at least scale_min={self.scale_min}, got {self.scale_max}")

    def fixed(self) -> dict[str, Any]:
        """Return the settings that a resumed run must share."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in FREE_ON_RESUME}

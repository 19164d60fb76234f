"""`TrainCfg`: settings of a training run; importable without torch, as the command line prints them."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Annotated, Any, Literal

from pydantic import Field

from cdzoo.constants import MIN_SIZE
from cdzoo.engine.schedule import Schedule
from cdzoo.errors import ConfigError
from cdzoo.validation import config_dataclass

_LENGTH = ("epochs", "early_stopping")
_OUTPUT = ("validate_every", "pictures_every", "checkpoint_every", "progress", "log", "tensorboard")
_MACHINE = ("workers", "device", "devices", "nodes")
_SEMI = ("semi", "confidence", "unlabeled_weight")
FREE_ON_RESUME = frozenset(_LENGTH + _OUTPUT + _MACHINE)
"""Settings that a resumed run may change; the others determine its result."""

LoggerName = Literal["tensorboard", "wandb", "mlflow"]
_Count = Annotated[int, Field(ge=1, le=10**9)]
_Index = Annotated[int, Field(ge=0, le=2**32 - 1)]
_Positive = Annotated[float, Field(gt=0, le=1e6)]
_NonNegative = Annotated[float, Field(ge=0, le=1e6)]
_Probability = Annotated[float, Field(ge=0, le=1)]
_Decay = Annotated[float, Field(ge=0, lt=1)]
_Scale = Annotated[float, Field(ge=0.1, le=10)]


@config_dataclass
class TrainCfg:
    """Settings of a training run. The defaults are those of the GLMamba paper, except for `epochs` (500 there) and `rotate`.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Samples per optimizer step; over all devices and micro-batches.
        lr: Full learning rate.
        lr_backbone: Full learning rate of the backbone; that of the other components by default.
        layer_decay: Factor of the learning rate from each layer of the backbone to the one below it; 1 for one rate.
        freeze: `backbone`: keep its weights and the statistics of its norms.
        lora: Rank of low-rank adapters of the linear layers of the backbone, whose weights are kept otherwise; 0 for none.
        optimizer: Optimizer; `adam`, `adamw`, `sgd`, or any other optimizer of timm.
        weight_decay: Weight decay of the optimizer.
        decay_all: Apply weight decay to biases and norms, too.
        momentum: Momentum of SGD.
        schedule: `poly`, `cosine`, `step`, `exponential`, `constant`, or `plateau` (drops when validation stops improving).
        power: Exponent of the poly schedule; 1 is linear.
        warmup_steps: Steps with a linearly rising learning rate.
        lr_decay: Factor of the step, exponential and plateau schedules.
        lr_decay_epochs: Epochs (plateau: validations without improvement) between two applications of lr_decay.
        loss: Loss, or a sum as `bce+0.5*dice`; `bce` (cross-entropy for several classes), `dice`, `focal`, `lovasz`,
            `balanced_bce`, `bcl` (contrastive, for the head `distance`). Of several outputs: of each one, `ce@NAME` of one, and
            `similarity` or `consistency` of land cover.
        change_weight: Weight of changed pixels in the loss.
        clip_norm: Largest norm of the gradient; 0 disables clipping.
        accumulate: Micro-batches per optimizer step.
        precision: Precision by autocast; the selective scan stays in fp32.
        ema: Decay of an exponential moving average of the weights, which is then validated and saved; 0 for none.
        crop: Side of random crops in pixels; after scaling.
        flips: Random horizontal and vertical flips.
        rotate: Random rotations by multiples of 90 degrees.
        scale_min: Smallest random scale factor, at least 0.1; in addition to the input_scale of the model.
        scale_max: Largest random scale factor, at most 10.
        swap_dates: Probability of swapping the dates.
        jitter: Strength of brightness, contrast and saturation changes, drawn for each date.
        blur: Probability of blurring an image slightly.
        cutmix: Probability of pasting a rectangle of another sample into a sample.
        semi: `unimatch`: also learn from pairs without masks, by consistency of weakly and strongly augmented views.
        confidence: Smallest probability of a pseudo label that the strong views learn from.
        unlabeled_weight: Weight of the loss of the pairs without masks.
        seed: Seed of shuffling, augmentation and dropout.
        deterministic: Raise an error for operations without a deterministic implementation.
        compile: Compile the model with torch.compile.
        channels_last: Keep the channels of weights and activations next to each other in memory, which makes convolutions faster.
        early_stopping: Stop after this number of consecutive validations without a better score; never by default.
        validate_every: Epochs between validations.
        pictures_every: Epochs between pictures of validation samples; 0 for none.
        checkpoint_every: Steps between training states, in addition to those at the end of each epoch; 0 for none.
        max_bad_steps: Consecutive steps with a non-finite loss or gradient after which training stops.
        workers: Processes that load data; -1 for none on the CPU and up to 8 with a GPU.
        device: Device; by default the first of cuda, mps and cpu that there is.
        devices: Devices of this machine to train on.
        nodes: Number of machines.
        progress: Show a progress bar.
        log: Loggers besides the CSV file: `tensorboard`, `wandb`, `mlflow`; `wandb` writes files unless WANDB_MODE=online is set,
            `mlflow` writes to MLFLOW_TRACKING_URI, or else to mlflow.db in the working directory.
        tensorboard: Deprecated, use `log`.
    """

    epochs: _Count = 100
    batch_size: _Count = 16
    lr: _Positive = 1e-4
    lr_backbone: _Positive | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    freeze: Literal["backbone"] | None = None
    lora: Annotated[int, Field(ge=0, le=1024)] = 0
    optimizer: str = "adam"
    weight_decay: _NonNegative = 0.0
    decay_all: bool = False
    momentum: _Decay = 0.9
    schedule: Schedule = "poly"
    power: _Positive = 0.9
    warmup_steps: _Index = 0
    lr_decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    lr_decay_epochs: _Count = 30
    loss: str = "bce"
    change_weight: _Positive = 1.0
    clip_norm: _NonNegative = 0.0
    accumulate: _Count = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    ema: _Decay = 0.0
    crop: Annotated[int, Field(ge=MIN_SIZE, le=8192)] = 256
    flips: bool = True
    rotate: bool = True
    scale_min: _Scale = 1.0
    scale_max: _Scale = 1.0
    swap_dates: _Probability = 0.0
    jitter: _Probability = 0.0
    blur: _Probability = 0.0
    cutmix: _Probability = 0.0
    semi: Literal["unimatch"] | None = None
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    unlabeled_weight: _Positive = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    deterministic: bool = False
    compile: bool = False
    channels_last: bool = False
    early_stopping: _Count | None = None
    validate_every: _Count = 1
    pictures_every: _Index = 0
    checkpoint_every: _Index = 0
    max_bad_steps: _Count = 10
    workers: Annotated[int, Field(ge=-1, le=256)] = -1
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: _Count = 1
    nodes: _Count = 1
    progress: bool = True
    log: tuple[LoggerName, ...] = ()
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Validate the fields together."""
        if self.tensorboard and "tensorboard" not in self.log:
            warnings.warn("cdzoo: tensorboard=True is deprecated, use log=['tensorboard']", DeprecationWarning, stacklevel=4)
            object.__setattr__(self, "log", (*self.log, "tensorboard"))
        if self.scale_max < self.scale_min:
            raise ConfigError(f"scale_max must be at least scale_min={self.scale_min}, got {self.scale_max}")
        for name, used in (("lr_backbone", self.lr_backbone), ("layer_decay", self.layer_decay < 1), ("lora", self.lora)):
            if self.freeze and used:
                raise ConfigError(f"{name}={getattr(self, name)} has no effect with freeze=backbone: pass one of them")

    def fixed(self) -> dict[str, Any]:
        """Return the settings that a resumed run must share; those that earlier versions lack only if they are used."""
        unused = (*(() if self.semi else _SEMI), *(() if self.channels_last else ("channels_last",)))
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in FREE_ON_RESUME.union(unused)}

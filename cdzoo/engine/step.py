"""`train_step`: one optimizer step, undone if the loss or a gradient is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import mixed_seed
from cdzoo.engine.batch_augment import BatchAugment
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.state import TrainState
from cdzoo.errors import ConfigError, TrainingError
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import normalize, to_unit


class Objective(nn.Module):
    """Model and loss as one module, which is compiled and distributed.

    Args:
        model: The model.
        cfg: Settings of the training.
    """

    def __init__(self, model: ChangeDetector, cfg: TrainCfg) -> None:
        super().__init__()
        self.model = model
        self.loss = model.task.create_loss(cfg.loss, cfg.change_weight)
        # Lists of floats instead of the config: torch.compile specializes on everything it reads.
        self.mean, self.std = list(model.config.mean), list(model.config.std)

    def forward(self, images: Sequence[Tensor], target: dict[str, Tensor]) -> Tensor:
        """Return the loss, with deep supervision if the head has it.

        Args:
            images: One tensor (B, bands, H, W) in [0, 1] per date.
            target: Targets (B, H, W) by name.
        """
        output, auxiliary = self.model.forward_supervised(*(normalize(image, self.mean, self.std) for image in images))
        loss: Tensor = self.loss(output, target)
        if auxiliary:
            height, width = images[0].shape[-2:]
            down, right = self.model.padding(height, width)
            padded = {name: _pad_target(one, down, right) for name, one in target.items()}
            for weight, coarse in zip(self.model.head.auxiliary_weights, auxiliary, strict=True):
                small = {name: _shrink_target(one, coarse.shape[-2:]) for name, one in padded.items()}
                loss = loss + weight * self.loss(coarse, small)
        return loss


class BufferBackup:
    """Copy of the floating-point buffers of a model, to restore batch norm statistics after a skipped step."""

    def __init__(self, model: nn.Module) -> None:
        self.buffers = [b for b in model.buffers() if b.is_floating_point()]
        self.copies = [b.clone() for b in self.buffers]

    def save(self) -> None:
        """Copy the buffers."""
        if self.buffers:
            torch._foreach_copy_(self.copies, self.buffers)

    def restore(self) -> None:
        """Restore the copied values."""
        if self.buffers:
            torch._foreach_copy_(self.buffers, self.copies)


def train_step(
    fabric: Any,
    objective: Any,
    optimizer: Any,
    backup: BufferBackup,
    micro_batches: Sequence[Any],
    lr: float,
    state: TrainState,
    cfg: TrainCfg,
) -> float | None:
    """Run one optimizer step.

    Args:
        fabric: Lightning Fabric.
        objective: `Objective`, set up by `fabric`.
        optimizer: Optimizer, set up by `fabric`.
        backup: Backup of the buffers of the model.
        micro_batches: Batches of this process whose gradients are accumulated.
        lr: Learning rate.
        state: Counters of the run; `skipped` and `consecutive_skipped` are updated.
        cfg: Settings of the training.

    Returns:
        Mean loss of this process, or None if the step was skipped because the loss or a gradient was not finite in any process.

    Raises:
        TrainingError: `cfg.max_bad_steps` consecutive steps were skipped.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    # Dropout and stochastic depth use the global generator; seeded by the step, a resumed run draws the same numbers.
    torch.manual_seed(mixed_seed(cfg.seed, state.step, 3, fabric.global_rank))
    backup.save()
    total = torch.zeros((), device=fabric.device)
    for number, batch in enumerate(micro_batches):
        last = number == len(micro_batches) - 1
        with fabric.no_backward_sync(objective, enabled=not last and fabric.world_size > 1):
            images, target = _augment(fabric, batch, state.step, number, cfg)
            loss = _call(objective, images, target) / len(micro_batches)
            fabric.backward(loss)
        total += loss.detach()
    norm = fabric.clip_gradients(objective, optimizer, max_norm=cfg.clip_norm or float("inf"), error_if_nonfinite=False)
    # In fp16, the gradient scaler skips steps with infinite gradients by itself.
    finite = bool(torch.isfinite(total)) and (cfg.precision == "fp16" or bool(torch.isfinite(norm)))
    if _all_processes(fabric, finite):
        optimizer.step()
        state.consecutive_skipped = 0
        result: float | None = float(total)
    else:
        backup.restore()
        _skip(state, float(total), lr, micro_batches, cfg)
        result = None
    optimizer.zero_grad(set_to_none=True)
    return result


def _augment(fabric: Any, batch: Any, step: int, number: int, cfg: TrainCfg) -> tuple[list[Tensor], dict[str, Tensor]]:
    sample: Sample = as_sample(batch)
    generator = torch.Generator().manual_seed(mixed_seed(cfg.seed, step, 4, number, fabric.global_rank))
    images = [to_unit(image.to(fabric.device, non_blocking=True)) for image in sample.images]
    target = {name: value.to(fabric.device, non_blocking=True) for name, value in sample.target.items()}
    return BatchAugment(cfg.jitter, cfg.blur, cfg.cutmix)(images, target, generator)


def _call(objective: Any, images: list[Tensor], target: dict[str, Tensor]) -> Tensor:
    try:
        return objective(images, target)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            f"batch norm of this model cannot be trained with {len(images[0])} pair(s) of {images[0].shape[-1]} pixels, whose "
            f"coarsest feature map is one pixel: use a larger batch_size or a larger crop"
        ) from error


def _all_processes(fabric: Any, flag: bool) -> bool:
    if fabric.world_size == 1:
        return flag
    agreeing = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(agreeing == fabric.world_size)


def _skip(state: TrainState, loss: float, lr: float, micro_batches: Sequence[Any], cfg: TrainCfg) -> None:
    state.skipped += 1
    state.consecutive_skipped += 1
    if state.consecutive_skipped < cfg.max_bad_steps:
        return
    names = [name for batch in micro_batches for name in as_sample(batch).name]
    reason = f"the loss became {loss}" if loss != loss or abs(loss) == float("inf") else "a gradient was not finite"
    raise TrainingError(
        f"{reason} at step {state.step}, the last of {state.consecutive_skipped} consecutive skipped steps (learning rate "
        f"{lr:.3g}, precision {cfg.precision}, pairs {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}). Lower lr, clip "
        f"gradients (clip_norm=1), use precision=fp32, or check the values of the images"
    )


def _pad_target(target: Tensor, down: int, right: int) -> Tensor:
    return F.pad(target, (0, right, 0, down), value=IGNORE_INDEX)[:, None].float()


def _shrink_target(target: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(target, size=tuple(size), mode="nearest")[:, 0].long()

"""`train_step`: one optimizer step, which is skipped if the loss or a gradient is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cdzoo.data.sample import Sample
from cdzoo.data.sampler import mixed_seed
from cdzoo.engine.batch_augment import BatchAugment
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.semi import SEMI_COLUMNS, Views, draw_views
from cdzoo.engine.setup import any_process
from cdzoo.engine.state import TrainState
from cdzoo.errors import ConfigError, TrainingError
from cdzoo.models.preprocess import to_unit

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def train_step(
    fabric: Fabric,
    objective: Any,
    optimizer: Any,
    batches: Sequence[Sample],
    state: TrainState,
    cfg: TrainCfg,
    unlabeled: Sequence[Sample] = (),
) -> dict[str, float] | None:
    """Make one optimizer step.

    If the loss or a gradient is not finite in any process, the step is skipped: weights, optimizer and batch-norm statistics are
    kept.

    Args:
        fabric: Precision, devices and processes.
        objective: Objective, set up by `fabric`.
        optimizer: Optimizer, set up by `fabric`.
        batches: Micro-batches of the step.
        state: Its counters of skipped steps are updated.
        cfg: Settings.
        unlabeled: As many micro-batches of pairs without masks, for semi-supervised training.

    Returns:
        Mean `loss` of the micro-batches of this process, and of semi-supervised training the means of `SEMI_COLUMNS`; None for a
        skipped step.

    Raises:
        TrainingError: `cfg.max_bad_steps` consecutive steps were skipped.
    """
    # Dropout and drop path use the global generator: seeded by the step, a resumed run draws the same numbers.
    torch.manual_seed(mixed_seed(cfg.seed, state.step, 3, fabric.global_rank))
    buffers = [buffer for buffer in objective.buffers() if buffer.is_floating_point()]
    backup = [torch.empty_like(buffer) for buffer in buffers]
    _copy(backup, buffers)
    total = torch.zeros((), device=fabric.device)
    further = torch.zeros(len(SEMI_COLUMNS) if unlabeled else 0, device=fabric.device)
    for number, batch in enumerate(batches):
        last = number == len(batches) - 1
        inputs: list[Any] = [*_inputs(fabric, batch, state.step, number, cfg)]
        if unlabeled:
            inputs.append(_views(fabric, unlabeled[number], state.step, number, cfg))
        with fabric.no_backward_sync(objective, enabled=not last and fabric.world_size > 1):
            loss, *logged = _loss(objective, *inputs)
            loss = loss / len(batches)
            fabric.backward(loss)
        total += loss.detach()
        for values in logged:
            further += values / len(batches)
    norm: Any = fabric.clip_gradients(objective, optimizer, max_norm=cfg.clip_norm or float("inf"), error_if_nonfinite=False)
    # In fp16 the gradient scaler itself skips steps with infinite gradients.
    finite = bool(torch.isfinite(total)) and (cfg.precision == "fp16" or bool(torch.isfinite(norm)))
    skipped = any_process(fabric, not finite)
    if skipped:
        _copy(buffers, backup)
        state.skipped += 1
        state.consecutive_skipped += 1
        if state.consecutive_skipped >= cfg.max_bad_steps:
            raise _diverged(state, float(total), optimizer.param_groups[0]["lr"], cfg, batches)
    else:
        optimizer.step()
        state.consecutive_skipped = 0
    optimizer.zero_grad(set_to_none=True)
    return None if skipped else {"loss": float(total), **dict(zip(SEMI_COLUMNS, further.tolist(), strict=False))}


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    if targets:
        with torch.no_grad():
            torch._foreach_copy_(targets, sources)


def _inputs(fabric: Fabric, batch: Sample, step: int, number: int, cfg: TrainCfg) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Move a micro-batch to the device and augment it."""
    generator = torch.Generator().manual_seed(mixed_seed(cfg.seed, step, 4, number, fabric.global_rank))
    images = [to_unit(image.to(fabric.device, non_blocking=True)) for image in batch.images]
    target = {key: value.to(fabric.device, non_blocking=True) for key, value in batch.target.items()}
    BatchAugment(cfg.jitter, cfg.blur, cfg.cutmix)(images, target, generator)
    return images, target


def _views(fabric: Fabric, batch: Sample, step: int, number: int, cfg: TrainCfg) -> Views:
    """Move a micro-batch of pairs without masks to the device and draw its views."""
    generator = torch.Generator().manual_seed(mixed_seed(cfg.seed, step, 7, number, fabric.global_rank))
    images = [to_unit(image.to(fabric.device, non_blocking=True)) for image in batch.images]
    target = {key: value.to(fabric.device, non_blocking=True) for key, value in batch.target.items()}
    return draw_views(images, target, generator)


def _loss(objective: Any, images: list[Tensor], *inputs: Any) -> tuple[Tensor, ...]:
    """Return the loss, and what is logged of semi-supervised training."""
    try:
        found = objective(images, *inputs)
        return found if isinstance(found, tuple) else (found,)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            f"batch norms cannot be trained with {len(images[0])} sample(s) of {images[0].shape[-1]} pixels, whose coarsest "
            f"level has a single pixel: use more samples per batch (batch_size), or a larger crop"
        ) from error


def _diverged(state: TrainState, loss: float, lr: float, cfg: TrainCfg, batches: Sequence[Sample]) -> TrainingError:
    names = [name for batch in batches for name in batch.name]
    what = "a gradient was not finite" if loss - loss == 0 else f"the loss became {loss}"
    return TrainingError(
        f"{what} at step {state.step}, the last of {state.consecutive_skipped} consecutive skipped steps (learning rate "
        f"{lr:.3g}, precision {cfg.precision}, samples {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}). Lower lr, "
        f"clip gradients (clip_norm=1), use precision=fp32, or check the image values"
    )

"""One optimizer step: loss with deep supervision, gradients, and what happens when they are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.sampler import mixed_seed
from cdzoo.engine.batch_augment import BatchAugment
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import ConfigError, TrainingError
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import normalize, to_unit


class Objective(nn.Module):
    """A detector and its loss as one module, which is what is compiled and distributed."""

    def __init__(self, model: ChangeDetector, cfg: TrainCfg) -> None:
        super().__init__()
        self.model = model
        self.loss, self.change_weight = cfg.loss, cfg.change_weight
        # Lists of floats, not the config: torch.compile specialises on what it reads.
        self.mean, self.std = list(model.config.mean), list(model.config.std)

    def forward(self, image_a: Tensor, image_b: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of images (B, bands, H, W) in [0, 1] against masks (B, H, W)."""
        t1, t2 = (normalize(image, self.mean, self.std) for image in (image_a, image_b))
        logits, auxiliary = self.model.forward_supervised(t1, t2)
        loss = self.model.task.loss(logits, mask, self.loss, self.change_weight)
        if auxiliary:
            down, right = self.model.padding(*mask.shape[-2:])
            padded = F.pad(mask, (0, right, 0, down), value=IGNORE_INDEX)[:, None].float()
            for weight, coarse in zip(self.model.head.auxiliary_weights, auxiliary, strict=True):
                small = F.interpolate(padded, size=coarse.shape[-2:], mode="nearest")[:, 0].long()
                loss = loss + weight * self.model.task.loss(coarse, small, self.loss, self.change_weight)
        return loss


@dataclass
class StepResult:
    """How a step went.

    Attributes:
        loss: Mean loss of this process's micro-batches.
        skipped: The weights were left as they were, because the loss or a gradient was not finite.
    """

    loss: float
    skipped: bool


class Stepper:
    """Runs optimizer steps on a Fabric.

    A step whose loss or gradient is not finite on any process changes nothing: weights, optimizer and batch-norm statistics
    stay. After `cfg.max_bad_steps` of them in a row training stops.

    Args:
        fabric: Lightning Fabric: precision, devices, processes.
        model: The bare detector.
        objective: Its objective, set up by `fabric`.
        optimizer: Set up by `fabric`.
        cfg: Settings.
    """

    def __init__(self, fabric: Any, model: ChangeDetector, objective: Any, optimizer: Any, cfg: TrainCfg) -> None:
        self.fabric, self.objective, self.optimizer, self.cfg = fabric, objective, optimizer, cfg
        self.augment = BatchAugment(cfg.jitter, cfg.blur, cfg.cutmix)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.buffers = [b for b in model.buffers() if b.is_floating_point()]
        self.copies = [b.clone() for b in self.buffers]
        self.bad_in_a_row = 0
        self.skipped = 0

    def __call__(self, step: int, lr: float, batches: Sequence[dict[str, Any]]) -> StepResult:
        """Make one step of the given micro-batches.

        Raises:
            TrainingError: Too many steps in a row were not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        # Dropout and drop path draw from the global generator: seeded by the step, a continued run draws the same.
        torch.manual_seed(mixed_seed(self.cfg.seed, step, 3, self.fabric.global_rank))
        if self.buffers:
            torch._foreach_copy_(self.copies, self.buffers)
        total = torch.zeros((), device=self.fabric.device)
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            with self.fabric.no_backward_sync(self.objective, enabled=not last and self.fabric.world_size > 1):
                loss = self._loss(self._inputs(batch, step, number)) / len(batches)
                self.fabric.backward(loss)
            total += loss.detach()
        norm = self._norm()
        finite = bool(torch.isfinite(total)) and (self.cfg.precision == "fp16" or bool(torch.isfinite(norm)))
        if self.fabric.world_size > 1:
            agreed = self.fabric.all_reduce(torch.tensor(float(finite), device=self.fabric.device), reduce_op="sum")
            finite = bool(agreed == self.fabric.world_size)
        if finite:
            self.optimizer.step()  # in fp16 the scaler leaves a step with infinite gradients out by itself
            self.bad_in_a_row = 0
        else:
            self._undo(step, float(total), lr, batches)
        self.optimizer.zero_grad(set_to_none=True)
        return StepResult(float(total), not finite)

    def _loss(self, inputs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        try:
            return self.objective(*inputs)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"batch norms of this model cannot learn from {len(inputs[0])} pair(s) of {inputs[0].shape[-1]} pixels, whose "
                f"coarsest map is one pixel: use more pairs a batch (batch_size), or a larger crop"
            ) from error

    def _inputs(self, batch: dict[str, Any], step: int, number: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(mixed_seed(self.cfg.seed, step, 4, number, self.fabric.global_rank))
        device = self.fabric.device
        image_a, image_b, mask = (batch[key].to(device, non_blocking=True) for key in ("image_a", "image_b", "mask"))
        return self.augment(to_unit(image_a), to_unit(image_b), mask, generator)

    def _norm(self) -> Tensor:
        limit = self.cfg.clip_norm or float("inf")
        return self.fabric.clip_gradients(self.objective, self.optimizer, max_norm=limit, error_if_nonfinite=False)

    def _undo(self, step: int, loss: float, lr: float, batches: Sequence[dict[str, Any]]) -> None:
        if self.buffers:
            torch._foreach_copy_(self.buffers, self.copies)
        self.skipped += 1
        self.bad_in_a_row += 1
        if self.bad_in_a_row >= self.cfg.max_bad_steps:
            names = [name for batch in batches for name in batch["name"]]
            what = f"the loss became {loss}" if loss != loss or abs(loss) == float("inf") else "a gradient was not finite"
            raise TrainingError(
                f"{what} at step {step}, the last of {self.bad_in_a_row} such steps in a row (learning rate {lr:.3g}, "
                f"precision {self.cfg.precision}, pairs {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}); nothing was "
                f"learned from them. Lower lr, clip gradients (clip_norm=1), use precision=fp32, or check the image values"
            )

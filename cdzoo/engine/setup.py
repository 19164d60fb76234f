"""Devices, optimizer and moving average of a training run."""

from __future__ import annotations

import functools
import os
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from cdzoo.data.sampler import mixed_seed
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.depthwise import keep_depthwise, release_depthwise
from cdzoo.engine.groups import is_added, parameter_groups
from cdzoo.engine.launch import launch
from cdzoo.engine.lora import add_adapters, remove_adapters
from cdzoo.engine.objective import Objective
from cdzoo.engine.semi import SemiObjective
from cdzoo.errors import ConfigError
from cdzoo.models.detector import ChangeDetector
from cdzoo.names import suggest

if TYPE_CHECKING:
    from lightning.fabric import Fabric

_MAX_WORKERS = 8


class Setup(NamedTuple):
    """Objects that a training run uses.

    Attributes:
        fabric: Devices, precision and processes.
        objective: Model and loss, set up by `fabric`.
        optimizer: Optimizer, set up by `fabric`.
        ema: Moving average of the weights (`timm.utils.ModelEmaV3`); None without one.
        eval_model: Model that is validated and saved: the averaged one if there is one.
        trainable: Names of the parameters that required gradients before the backbone was frozen or adapted.
    """

    fabric: Fabric
    objective: Any
    optimizer: Any
    ema: Any
    eval_model: ChangeDetector
    trainable: frozenset[str]


def prepare(model: ChangeDetector, cfg: TrainCfg) -> Setup:
    """Launch the processes, move the model to its device, and build objective, optimizer and moving average.

    Raises:
        ConfigError: The optimizer cannot be used, or the device does not support the precision.
    """
    from timm.utils import ModelEmaV3

    fabric = launch(cfg)
    if fabric.world_size > 1 and fabric.device.type == "cuda":  # batch norms use the statistics of all GPUs
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    model.to(fabric.device)
    if cfg.channels_last:
        model.to(memory_format=torch.channels_last)
    trainable = frozenset(name for name, parameter in model.named_parameters() if parameter.requires_grad)
    for number, encoder in enumerate(model.encoders):
        if cfg.freeze:
            for name, parameter in encoder.named_parameters():
                if not is_added(encoder, name):
                    parameter.requires_grad_(False)
        if cfg.lora:
            add_adapters(encoder, cfg.lora, mixed_seed(cfg.seed, number, 5))
    ema: Any = ModelEmaV3(model, decay=cfg.ema).requires_grad_(False) if cfg.ema else None
    if cfg.precision == "bf16" and fabric.device.type == "cpu":
        keep_depthwise(model)
    objective: Any = SemiObjective(model, cfg) if cfg.semi else Objective(model, cfg)
    if cfg.compile:
        objective = torch.compile(objective)
    objective, optimizer = fabric.setup(objective, build_optimizer(model, cfg))
    return Setup(fabric, objective, optimizer, ema, ema.module if ema else model, trainable)


def train_mode(model: ChangeDetector, cfg: TrainCfg) -> None:
    """Put a model in training mode, except for a backbone that is frozen or adapted, whose norms keep their statistics."""
    model.train()
    if cfg.freeze or cfg.lora:
        for encoder in model.encoders:
            encoder.eval()


def finish(model: ChangeDetector, trainable: Container[str], weights: Mapping[str, Tensor]) -> None:
    """Load the best weights into a trained model, in evaluation mode on the CPU, with the same trainable parameters as before."""
    remove_adapters(model)
    release_depthwise(model)
    model.load_state_dict(weights)
    model.cpu().to(memory_format=torch.contiguous_format).eval()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trainable)


def worker_count(cfg: TrainCfg, device: torch.device) -> int:
    """Return the number of loader processes: `cfg.workers`, or by default none on the CPU and up to 8 with a GPU."""
    if cfg.workers >= 0:
        return cfg.workers
    return 0 if device.type == "cpu" else min(_MAX_WORKERS, max(1, (os.cpu_count() or 1) // cfg.devices))


def build_optimizer(model: ChangeDetector, cfg: TrainCfg) -> torch.optim.Optimizer:
    """Return the optimizer of timm that `cfg.optimizer` names; frozen parameters are left out.

    Raises:
        ConfigError: timm has no such optimizer, or it needs more than gradients (a second derivative, a package, a GPU).
    """
    from timm.optim import create_optimizer_v2, list_optimizers

    momentum = {"momentum": cfg.momentum} if uses_momentum(cfg) else {}
    name = "momentum" if cfg.optimizer.lower() == "sgd" else cfg.optimizer
    create = functools.partial(create_optimizer_v2, opt=name, lr=cfg.lr, weight_decay=cfg.weight_decay, **momentum)
    try:
        trial = nn.Parameter(torch.ones(2, 2, device=next(model.parameters()).device))
        optimizer = create([trial])
        for _ in range(2):
            torch.autograd.backward(trial.square().sum())
            optimizer.step()
    except Exception as error:  # whatever an optimizer raises that is not made for this loop
        if "not found in registry" in str(error):
            near = suggest(cfg.optimizer, list_optimizers())
            raise ConfigError(f"optimizer '{cfg.optimizer}' is not an optimizer of timm.{near} Use adamw, adam or sgd") from error
        raise ConfigError(f"optimizer '{cfg.optimizer}' cannot drive this training ({error}); use adamw, adam or sgd") from error
    scaled = cfg.lr_backbone is not None or cfg.layer_decay < 1
    groups = {"param_group_fn": functools.partial(parameter_groups, cfg=cfg)} if scaled else {}
    return create(model, filter_bias_and_bn=not cfg.decay_all, **groups)


def uses_momentum(cfg: TrainCfg) -> bool:
    """Return whether the optimizer takes `cfg.momentum`."""
    return "sgd" in cfg.optimizer.lower()


def update_ema(fabric: Fabric, ema: Any, model: ChangeDetector) -> None:
    """Move the average towards the weights of the model."""
    broadcast_buffers(fabric, model)
    ema.update(model)


@torch.no_grad()
def broadcast_buffers(fabric: Fabric, model: nn.Module) -> None:
    """Copy the batch-norm statistics of the first process, which are saved, to all processes."""
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    if fabric.world_size > 1 and buffers:
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        torch.distributed.broadcast(flat, 0)
        for buffer, values in zip(buffers, torch.split(flat, [buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(values.view_as(buffer))


def any_process(fabric: Fabric, flag: bool) -> bool:
    """Return whether `flag` is set in any process."""
    if fabric.world_size == 1:
        return flag
    count: Any = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(count > 0)

"""Devices, optimizer, moving average and data loading of a training run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from cdzoo.data.augment import PairAugment
from cdzoo.data.sample import Sample
from cdzoo.data.sampler import AugmentedSamples, Samples, StepSampler
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import ConfigError
from cdzoo.models.detector import ChangeDetector

_PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_MAX_WORKERS = 8


def launch(cfg: TrainCfg) -> Any:
    """Return a launched Lightning Fabric: one process, several on this machine, or those started by torchrun or SLURM.

    Raises:
        ConfigError: The device does not support the precision.
    """
    from lightning.fabric import Fabric

    local, nodes = cfg.devices, cfg.nodes
    if "TORCHELASTIC_RUN_ID" in os.environ:  # started by torchrun
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // local
    strategy = "ddp" if local * nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=cfg.device, devices=local, num_nodes=nodes, strategy=strategy, precision=_PRECISIONS[cfg.precision]
    )
    if cfg.precision == "fp16" and fabric.device.type == "cpu":
        raise ConfigError("precision=fp16 needs a GPU; bf16 is supported on CPUs too")
    fabric.launch()
    return fabric


def build_optimizer(model: ChangeDetector, cfg: TrainCfg) -> torch.optim.Optimizer:
    """Return the optimizer of timm's factory.

    Raises:
        ConfigError: timm has no such optimizer.
    """
    from timm.optim import create_optimizer_v2

    options: dict[str, Any] = {"momentum": cfg.momentum} if "sgd" in cfg.optimizer.lower() else {}
    try:
        return create_optimizer_v2(
            model,
            opt="momentum" if cfg.optimizer.lower() == "sgd" else cfg.optimizer,
            lr=cfg.lr,
            weight_decay=cfg.weight_decay,
            filter_bias_and_bn=not cfg.decay_all,
            **options,
        )
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"optimizer '{cfg.optimizer}' is unknown to timm ({error})") from error


def build_ema(model: ChangeDetector, cfg: TrainCfg) -> Any:
    """Return the exponential moving average of the weights, or None."""
    if not cfg.ema:
        return None
    from timm.utils import ModelEmaV3

    ema = ModelEmaV3(model, decay=cfg.ema)
    ema.requires_grad_(False)
    return ema


def broadcast_buffers(fabric: Any, model: ChangeDetector) -> None:
    """Copy the batch norm statistics of the first process, which are the ones that are saved, to the others."""
    buffers = [b for b in model.buffers() if b.is_floating_point()]
    if fabric.world_size == 1 or not buffers:
        return
    flat = torch.cat([b.flatten() for b in buffers])
    torch.distributed.broadcast(flat, 0)
    for buffer, part in zip(buffers, torch.split(flat, [b.numel() for b in buffers]), strict=True):
        buffer.copy_(part.view_as(buffer))


def any_process(fabric: Any, flag: bool) -> bool:
    """Return whether `flag` is set in any process."""
    if fabric.world_size == 1:
        return flag
    return bool(fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum") > 0)


def build_sampler(cfg: TrainCfg, fabric: Any, count: int, first: int, last: int) -> StepSampler:
    """Return the sampler of the steps `first` to `last` of this process."""
    return StepSampler(count, cfg.batch_size, cfg.seed, first, last, fabric.global_rank, fabric.world_size, cfg.accumulate)


def load_steps(cfg: TrainCfg, fabric: Any, samples: Samples, sampler: StepSampler) -> Iterator[list[Sample]]:
    """Yield the micro-batches of each step."""
    augment = PairAugment(cfg.crop, cfg.flips, cfg.rotate, (cfg.scale_min, cfg.scale_max), cfg.swap_dates)
    workers = worker_count(cfg, fabric.device)
    batches = iter(
        DataLoader(
            AugmentedSamples(samples, augment),
            batch_sampler=sampler,
            num_workers=workers,
            pin_memory=fabric.device.type == "cuda",
            # Samples do not use the generators of Python and PyTorch, but workers are seeded from this one.
            generator=torch.Generator().manual_seed(cfg.seed),
            prefetch_factor=4 if workers else None,
        )
    )
    for _ in range(sampler.first_step, sampler.last_step):
        yield [next(batches) for _ in range(cfg.accumulate)]


def worker_count(cfg: TrainCfg, device: torch.device) -> int:
    """Return the number of loader processes: as configured, or by default none on the CPU and up to 8 with a GPU."""
    if cfg.workers >= 0:
        return cfg.workers
    return 0 if device.type == "cpu" else min(_MAX_WORKERS, max(1, (os.cpu_count() or 1) // max(1, cfg.devices)))

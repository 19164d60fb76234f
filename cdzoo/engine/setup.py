"""What a run is made of: devices, precision, optimizer, moving average."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from cdzoo.engine.config import TrainCfg
from cdzoo.engine.step import Objective
from cdzoo.errors import ConfigError
from cdzoo.layers import SS2D
from cdzoo.models.detector import ChangeDetector

_PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_MOST_WORKERS = 8


def make_fabric(cfg: TrainCfg) -> Any:
    """Return the Lightning Fabric for `cfg`: one process, several of this machine, or those that torchrun or SLURM started.

    Raises:
        ConfigError: The precision is not for the device.
    """
    from lightning.fabric import Fabric

    local, nodes = cfg.devices, cfg.nodes
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun has decided
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // local
    strategy = "ddp" if local * nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=cfg.device, devices=local, num_nodes=nodes, strategy=strategy, precision=_PRECISIONS[cfg.precision]
    )
    if cfg.precision == "fp16" and fabric.device.type == "cpu":
        raise ConfigError("precision=fp16 needs a GPU; bf16 works on the CPU too")
    return fabric


def worker_count(cfg: TrainCfg, device: torch.device) -> int:
    """Return the number of loader processes: as asked for, or none on the CPU and up to 8 beside a GPU."""
    if cfg.workers >= 0:
        return cfg.workers
    return 0 if device.type == "cpu" else min(_MOST_WORKERS, max(1, (os.cpu_count() or 1) // max(1, cfg.devices)))


def lighten(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Return a picture as (H, W, 3), at most 1600 pixels wide, for logs."""
    if picture.width > 1600:
        picture = picture.resize((1600, round(picture.height * 1600 / picture.width)))
    return np.asarray(picture.convert("RGB"))


class Setup:
    """Model, objective, optimizer and moving average of a run, on their devices.

    Args:
        fabric: Launched.
        model: The bare detector; its parameters are moved to the device.
        cfg: Settings.
    """

    def __init__(self, fabric: Any, model: ChangeDetector, cfg: TrainCfg) -> None:
        from timm.optim import create_optimizer_v2
        from timm.utils import ModelEmaV3

        if fabric.world_size > 1 and fabric.device.type == "cuda":
            torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.fabric, self.model = fabric, model.to(fabric.device)
        self.scans = any(isinstance(module, SS2D) for module in model.modules())
        self.average: Any = None
        if cfg.ema:
            self.average = ModelEmaV3(model, decay=cfg.ema)
            self.average.requires_grad_(False)
        options: dict[str, Any] = {"momentum": cfg.momentum} if "sgd" in cfg.optimizer.lower() else {}
        try:
            optimizer = create_optimizer_v2(
                model,
                opt="momentum" if cfg.optimizer.lower() == "sgd" else cfg.optimizer,
                lr=cfg.lr,
                weight_decay=cfg.weight_decay,
                filter_bias_and_bn=not cfg.decay_all,
                **options,
            )
        except (AssertionError, ValueError) as error:
            raise ConfigError(f"optimizer '{cfg.optimizer}' is none that timm knows ({error})") from error
        objective: Any = Objective(model, cfg)
        if cfg.compile:
            objective = torch.compile(objective)
        self.objective, self.optimizer = fabric.setup(objective, optimizer)

    def average_in(self) -> None:
        """Move the average towards the weights of the step that was just made."""
        if self.average is not None:
            self.agree()
            self.average.update(self.model)

    def agree(self) -> None:
        """Give all processes the batch-norm statistics of the first, which are the ones that are saved."""
        if self.fabric.world_size > 1:
            buffers = [b for b in self.model.buffers() if b.is_floating_point()]
            if buffers:
                flat = torch.cat([b.flatten() for b in buffers])
                torch.distributed.broadcast(flat, 0)
                for buffer, part in zip(buffers, torch.split(flat, [b.numel() for b in buffers]), strict=True):
                    buffer.copy_(part.view_as(buffer))

    def any(self, flag: bool) -> bool:
        """Tell whether `flag` is set in any process."""
        if self.fabric.world_size == 1:
            return flag
        return bool(self.fabric.all_reduce(torch.tensor(float(flag), device=self.fabric.device), reduce_op="sum") > 0)

    def judged(self) -> ChangeDetector:
        """Return the model that is validated and saved: the averaged one if there is one."""
        return self.model if self.average is None else self.average.module

    def average_state(self) -> dict[str, Tensor] | None:
        """Return the state dict of the averaged model."""
        return None if self.average is None else self.average.module.state_dict()

    def scaler_state(self) -> dict[str, Any]:
        """Return the state of the gradient scaler; empty but in fp16."""
        return dict(self.fabric._precision.state_dict())

    def load(self, average: Mapping[str, Tensor] | None, scaler: dict[str, Any]) -> None:
        """Restore the average and the scaler."""
        if self.average is not None and average is not None:
            self.average.module.load_state_dict(average)
        if scaler:
            self.fabric._precision.load_state_dict(scaler)

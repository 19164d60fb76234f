"""Processes of a training run: one, several of this machine, or those that torchrun or srun started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cdzoo.engine.config import TrainCfg
from cdzoo.errors import ConfigError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

_PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def is_leader() -> bool:
    """Return whether this process writes the files of the run; known before the processes are connected."""
    if "RANK" in os.environ and _count("WORLD_SIZE") > 1:
        return os.environ["RANK"] == "0"
    if _srun_tasks() > 1:
        return os.environ.get("SLURM_PROCID", "0") == "0"
    return os.environ.get("LOCAL_RANK", "0") == os.environ.get("NODE_RANK", "0") == "0"


def launch(cfg: TrainCfg) -> Fabric:
    """Return a launched Fabric.

    torchrun and srun determine the number of processes. If the script of a SLURM job starts this process without srun, the number
    of tasks of the job has no meaning.

    Raises:
        ConfigError: Devices, nodes and precision do not fit the machine, each other, or the tasks that srun started.
    """
    from lightning.fabric import Fabric
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    devices, nodes, plugins = cfg.devices, cfg.nodes, list[Any]()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = _count("LOCAL_WORLD_SIZE")
        nodes = _count("WORLD_SIZE") // devices
    elif (tasks := _srun_tasks()) > 1:
        if devices * nodes == 1:
            nodes = _count("SLURM_STEP_NUM_NODES")
            devices = tasks // nodes
        if devices * nodes != tasks:
            raise ConfigError(
                f"srun started {tasks} processes, but nodes={nodes} times devices={devices} is {devices * nodes}: pass the "
                "numbers of the job, or start one process with srun --ntasks=1"
            )
    elif "SLURM_NTASKS" in os.environ:
        plugins = [LightningEnvironment()]  # instead of that of SLURM, which expects as many processes as the job has tasks
    strategy = "ddp" if devices * nodes > 1 else "auto"
    precision = _PRECISIONS[cfg.precision]
    try:
        fabric = Fabric(
            accelerator=cfg.device, strategy=strategy, devices=devices, num_nodes=nodes, precision=precision, plugins=plugins
        )
        if cfg.precision == "fp16" and fabric.device.type == "cpu":
            raise ConfigError("precision=fp16 needs a GPU; bf16 works on the CPU too")
        alone = isinstance(getattr(fabric.strategy, "cluster_environment", None), LightningEnvironment)
        if nodes > 1 and alone and "MASTER_ADDR" not in os.environ:  # it would wait for the other machines
            raise ConfigError(f"nodes={nodes}: start the processes of all machines with torchrun or srun, or leave nodes out")
        fabric.launch()
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = str(error).replace("\n", " ")
        raise ConfigError(f"device={cfg.device} devices={devices} nodes={nodes} cannot be used here: {reason}") from error
    return fabric


def _srun_tasks() -> int:
    """Return the number of processes that srun started; 1 without srun, where the variables of the job have other meanings."""
    return _count("SLURM_STEP_NUM_TASKS") if "TORCHELASTIC_RUN_ID" not in os.environ else 1


def _count(variable: str) -> int:
    value = os.environ.get(variable, "1")
    return int(value) if value.isdecimal() else 1

"""Processes of a run in the environments of launchers and schedulers."""

import os

import pytest

from cdzoo.engine.config import TrainCfg
from cdzoo.engine.launch import is_leader, launch
from cdzoo.errors import ConfigError

JOB = {
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "1",
    "SLURM_NODELIST": "localhost",
}


@pytest.fixture
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in (
            "RANK",
            "LOCAL_RANK",
            "NODE_RANK",
            "WORLD_SIZE",
            "MASTER_ADDR",
        ):
            monkeypatch.delenv(name)

    def put(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize(
    "more", [{}, {"SLURM_NTASKS_PER_NODE": "4"}, {"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_JOB_NUM_NODES": "2"}]
)
def test_one_process_in_a_slurm_job_trains_alone(environment, more):
    environment(JOB | more)
    assert launch(TrainCfg(device="cpu")).world_size == 1 and is_leader()


def test_several_machines_need_a_launcher(environment):
    environment({})
    with pytest.raises(ConfigError, match="nodes=2: start the processes of all machines with torchrun or srun"):
        launch(TrainCfg(device="cpu", nodes=2))


@pytest.mark.parametrize("numbers", [{"devices": 2}, {"devices": 2, "nodes": 2}, {"nodes": 3}])
def test_srun_with_another_number_of_processes_is_refused(environment, numbers):
    environment(JOB | {"SLURM_STEP_NUM_TASKS": "5", "SLURM_STEP_NUM_NODES": "1"})
    with pytest.raises(ConfigError, match=r"srun started 5 processes.*srun --ntasks=1"):
        launch(TrainCfg(device="cpu", **numbers))


def test_settings_that_lightning_refuses_are_an_error_of_the_configuration(environment):
    environment(JOB | {"SLURM_STEP_NUM_TASKS": "4"})  # --ntasks without --ntasks-per-node
    with pytest.raises(ConfigError, match=r"devices=4 nodes=1 cannot be used here: .*--ntasks-per-node"):
        launch(TrainCfg(device="cpu"))


@pytest.mark.parametrize(
    ("values", "leader"),
    [
        ({}, True),
        ({"RANK": "3"}, True),  # without a launcher it has no meaning
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, True),
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, False),
        ({"NODE_RANK": "1", "WORLD_SIZE": "2"}, False),
        (JOB | {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"}, False),
        (JOB | {"SLURM_STEP_NUM_TASKS": "4"}, True),
        (JOB | {"SLURM_PROCID": "3"}, True),
    ],
)
def test_one_process_is_the_leader(environment, values, leader):
    environment(values)
    assert is_leader() is leader

"""Processes that are asked for, and those that are there."""

from dataclasses import replace
from pathlib import Path

import pytest

from bidsapp.cli.parser import settings_from
from bidsapp.cli.processes import check_processes
from bidsapp.errors import UsageError
from bidsapp.settings import Settings

from ..test_launch import SRUN

TWO = Settings(Path("/data"), Path("/out"), ("group",), device="cpu", devices=2)
TORCHRUN = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}


def test_options_are_settings():
    settings = settings_from(["/data", "/out", "group", "--devices", "3", "--device", "cpu"])
    assert (settings.devices, settings.num_nodes, settings.processes) == (3, 1, 3)
    with pytest.raises(UsageError, match="devices = 0 is not positive"):
        settings_from(["/data", "/out", "group", "--devices", "0"])


def test_what_is_there_is_what_was_asked_for():
    for settings, environment in (
        (TWO, {}),
        (TWO, TORCHRUN),
        (replace(TWO, num_nodes=2), SRUN),
        (replace(TWO, devices=1), SRUN),  # one of many jobs that know nothing of each other
        (replace(TWO, devices=1), {**TORCHRUN, "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}),
    ):
        check_processes(settings, environment)


@pytest.mark.parametrize(
    ("changes", "environment", "reason", "hint"),
    [
        ({"levels": ("participant", "group")}, {}, "participant level has --nprocs", "run the participant level"),
        ({"model": Path("/b")}, {}, "--model trains nothing", "leave them out"),
        ({"num_nodes": 2}, {}, "nothing started processes on other computers", "torchrun or srun"),
        ({"devices": 1}, TORCHRUN, "torchrun started 2 processes", "--devices 2 --num-nodes 1"),
        ({"devices": 3}, TORCHRUN, "torchrun started 2 processes on each of 1", "--devices 2 --num-nodes 1"),
        ({"devices": 4}, SRUN, "srun started 2 processes on each of 2", "--devices 2 --num-nodes 2"),
        ({"num_nodes": 2}, {**SRUN, "SLURM_NTASKS_PER_NODE": None}, "how many tasks", "--ntasks-per-node"),
        ({"device": "cuda"}, {"CUDA_VISIBLE_DEVICES": ""}, r"sees 0 GPU\(s\)", "--device cpu"),
    ],
)
def test_what_cannot_work_is_an_error(changes, environment, reason, hint):
    environment = {name: value for name, value in environment.items() if value is not None}
    with pytest.raises(UsageError, match=reason) as raised:
        check_processes(replace(TWO, **changes), environment)
    assert hint in raised.value.hint

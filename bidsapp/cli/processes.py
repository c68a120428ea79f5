"""Whether the processes that a training is asked to run on are there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bidsapp.errors import UsageError
from bidsapp.launch import find_place
from bidsapp.resources import granted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bidsapp.launch import Place
    from bidsapp.settings import Settings


def check_processes(settings: Settings, environment: Mapping[str, str] = os.environ) -> None:
    """Raise `UsageError` where settings and launcher disagree, or there is nothing to share.

    Parameters
    ----------
    settings : Settings
        Says on how many processes to train.
    environment : mapping
        Environment variables; those of torchrun and SLURM are read.
    """
    place = find_place(environment)
    asked = f"--devices {settings.devices} --num-nodes {settings.num_nodes}"
    if settings.processes == 1:
        if place and place.launcher == "torchrun" and place.devices * place.nodes > 1:
            raise UsageError(f"torchrun started {place.devices * place.nodes} processes, for {asked}", _as(place))
        return
    if "participant" in settings.levels:
        hint = "run the participant level first, in a command of its own"
        raise UsageError(f"{asked}: processes share a training, the participant level has --nprocs", hint)
    if settings.model is not None:
        raise UsageError(f"{asked}: processes share a training, and --model trains nothing", "leave them out")
    if place is None and settings.num_nodes > 1:
        hint = "start one on each by torchrun or srun; docs/distributed.md shows how"
        raise UsageError(f"{asked}: nothing started processes on other computers", hint)
    if place and (place.devices, place.nodes) != (settings.devices, settings.num_nodes):
        there = f"{place.launcher} started {place.devices} processes on each of {place.nodes} computer(s)"
        raise UsageError(f"{asked}: {there}", _as(place))
    if place and place.launcher == "srun" and "SLURM_NTASKS_PER_NODE" not in environment:
        raise UsageError(f"{asked}: SLURM was not told how many tasks a node has", "give it --ntasks-per-node")
    gpus = granted(environment=environment).gpus
    if settings.device != "cpu" and gpus < settings.devices and (gpus or settings.device == "cuda"):
        hint = "give fewer, or --device cpu; in SLURM ask for --gpus-per-node, so that every task sees all"
        raise UsageError(f"{asked}: this process sees {gpus} GPU(s)", hint)


def _as(place: Place) -> str:
    return f"give --devices {place.devices} --num-nodes {place.nodes}"

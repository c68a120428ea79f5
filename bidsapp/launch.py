"""The processes of a training that several share: who started them, which one this is, and starting them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bidsapp.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What torchrun says to each process, and this program to those that it starts itself.
NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
HERE = "127.0.0.1"
# Seconds in which a process that has nothing left to do, or has lost the others, ends.
ENDING = 60.0
LOSING = 5.0


@dataclass(frozen=True)
class Place:
    """Which process of how many this is.

    Attributes
    ----------
    launcher : str
        ``torchrun``, or what speaks as it does, or ``srun``.
    rank : int
        Its number; 0 leads.
    devices, nodes : int
        Processes on each computer, and computers.
    """

    launcher: str
    rank: int
    devices: int
    nodes: int


def find_place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Return the place that a launcher gave to this process; ``None`` where none did.

    A batch script sees the tasks of its SLURM job and is none of them; what ``srun`` starts is part of a step.
    """
    if all(environment.get(name, "").isdigit() for name in NAMES):
        rank, _, world, local = (int(environment[name]) for name in NAMES)
        return Place("torchrun", rank, local, max(1, world // max(1, local)))
    tasks, rank_of_task = (environment.get(name, "") for name in ("SLURM_NTASKS", "SLURM_PROCID"))
    if "SLURM_STEP_ID" in environment and tasks.isdigit() and rank_of_task.isdigit() and int(tasks) > 1:
        nodes = int(environment.get("SLURM_NNODES", "1"))
        return Place("srun", int(rank_of_task), int(tasks) // nodes, nodes)
    return None


def follows(processes: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether another process leads this run, of so many."""
    place = find_place(environment) if processes > 1 else None
    return place is not None and place.rank > 0


@contextmanager
def others_started(settings: str, processes: int) -> Iterator[None]:
    """Start the other processes of a run on this computer, unless a launcher has, and see them end.

    Parameters
    ----------
    settings : str
        Of the run, as TOML.
    processes : int
        This one included.

    Raises
    ------
    AppError
        One of them ended, and the block could not go on without it.
    """
    if processes == 1 or find_place() is not None:
        yield
        return
    before = dict(os.environ)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "settings.toml"
        file.write_text(settings, encoding="utf-8")
        command = [sys.executable, "-m", "bidsapp", "--config-file", str(file)]
        port = free_port()
        others = [
            subprocess.Popen(command, env={**before, **said_to(rank, processes, port)}, stdin=subprocess.DEVNULL)
            for rank in range(1, processes)
        ]
        os.environ.update(said_to(0, processes, port))
        try:
            yield
            for other in others:
                _status(other, ENDING)
        except RuntimeError as error:  # what PyTorch raises where a connection breaks
            for rank, other in enumerate(others, 1):
                if status := _status(other, LOSING):
                    message = f"process {rank} of {processes} ended with status {status}"
                    raise AppError(message, "run the same command again to go on where it stopped") from error
            raise
        finally:
            for other in others:
                other.kill()
                other.wait()
            os.environ.clear()
            os.environ.update(before)


def said_to(rank: int, processes: int, port: int) -> dict[str, str]:
    """Return the environment that tells a process of this computer its place, and where the first one listens."""
    numbers = dict(zip(NAMES, (rank, rank, processes, processes), strict=True))
    said = {**numbers, "GROUP_RANK": 0, "MASTER_ADDR": HERE, "MASTER_PORT": port}
    return {name: str(value) for name, value in said.items()}


def free_port() -> int:
    """Return a port of this computer that nobody uses now."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        return int(free.getsockname()[1])


def _status(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None

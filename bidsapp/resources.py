"""What CPUs and memory this run was granted, which is often less than what the machine has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CGROUP = Path("/sys/fs/cgroup")
GIGABYTE = 1e9


@dataclass(frozen=True)
class Grant:
    """What a run may use.

    Attributes
    ----------
    cpus : int
        Processes or threads at a time.
    memory_gb : float
        Memory, GB.
    reasons : tuple of str
        Where the numbers come from, for the log.
    """

    cpus: int
    memory_gb: float
    reasons: tuple[str, ...]


def granted(
    nprocs: int | None = None,
    memory_gb: float | None = None,
    environment: Mapping[str, str] = os.environ,
    cgroup: Path = CGROUP,
) -> Grant:
    """Find out what the run may use: the smallest of all limits, unless options say otherwise.

    Parameters
    ----------
    nprocs : int or None
        ``--nprocs``.
    memory_gb : float or None
        ``--mem``, GB.
    environment : mapping
        Environment variables (SLURM's are read).
    cgroup : Path
        Root of the control groups.

    Returns
    -------
    Grant
    """
    cpus, cpu_reason = (nprocs, "--nprocs") if nprocs else min(_cpu_limits(environment, cgroup))
    memory, memory_reason = (memory_gb, "--mem") if memory_gb else min(_memory_limits(environment, cgroup))
    return Grant(
        max(1, int(cpus)), float(memory), (f"{cpus:g} CPUs: {cpu_reason}", f"{memory:.1f} GB: {memory_reason}")
    )


def _cpu_limits(environment: Mapping[str, str], cgroup: Path) -> list[tuple[float, str]]:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [(float(affinity), "processor affinity")]
    quota = _read(cgroup / "cpu.max").split()  # version 2: "quota period"
    if len(quota) == 2 and quota[0].isdigit():
        limits.append((max(1.0, int(quota[0]) / int(quota[1])), "control group"))
    old = _read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")
    if old[0].isdigit() and old[1].isdigit():  # version 1; -1 means no limit
        limits.append((max(1.0, int(old[0]) / int(old[1])), "control group"))
    if environment.get("SLURM_CPUS_PER_TASK", "").isdigit():
        limits.append((float(environment["SLURM_CPUS_PER_TASK"]), "SLURM_CPUS_PER_TASK"))
    return limits


def _memory_limits(environment: Mapping[str, str], cgroup: Path) -> list[tuple[float, str]]:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    limits = [(physical, "physical memory")]
    texts = (_read(cgroup / file) for file in ("memory.max", "memory/memory.limit_in_bytes"))
    limits += [(int(text) / GIGABYTE, "control group") for text in texts if text.isdigit()]
    if environment.get("SLURM_MEM_PER_NODE", "").isdigit():
        limits.append((int(environment["SLURM_MEM_PER_NODE"]) / 1000, "SLURM_MEM_PER_NODE"))
    return limits


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

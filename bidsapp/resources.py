"""What CPUs, memory and GPUs this run was granted, which is often less than what the machine has."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GIGABYTE = 1e9
ROOT = Path("/")


@dataclass(frozen=True)
class Grant:
    """What a run may use.

    Attributes
    ----------
    cpus : int
        Processes or threads at a time.
    memory_gb : float
        Memory, GB.
    gpus : int
        NVIDIA devices that are visible to the run.
    reasons : tuple of str
        Where the numbers come from, for the log.
    """

    cpus: int
    memory_gb: float
    gpus: int
    reasons: tuple[str, ...]


def granted(
    nprocs: int | None = None,
    mem_gb: float | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    root: Path = ROOT,
) -> Grant:
    """Find out what the run may use: the smallest of all limits, unless options say otherwise.

    Parameters
    ----------
    nprocs : int or None
        ``--nprocs``.
    mem_gb : float or None
        ``--mem``, GB.
    environment : mapping
        Environment variables; those of SLURM, PBS, LSF, Grid Engine and CUDA are read.
    root : Path
        Root of the file system, under which ``proc``, ``sys`` and ``dev`` are read.

    Returns
    -------
    Grant
    """
    cpus, cpu_reason = (nprocs, "--nprocs") if nprocs else min(_cpu_limits(environment, root))
    memory, memory_reason = (mem_gb, "--mem") if mem_gb else min(_memory_limits(environment, root))
    gpus, gpu_reason = _gpus(environment, root)
    cpus = max(1, int(cpus))
    reasons = (f"{cpus} CPUs ({cpu_reason})", f"{memory:.1f} GB ({memory_reason})", f"{gpus} GPUs ({gpu_reason})")
    return Grant(cpus, float(memory), gpus, reasons)


def shared(grant: Grant, processes: int, *, tasks: bool) -> Grant:
    """Return what each of several processes of this computer may use.

    Parameters
    ----------
    grant : Grant
        Of all of them.
    processes : int
        Their number.
    tasks : bool
        Whether they are tasks of SLURM, which gives each processors of its own, and memory to all.
    """
    cpus = grant.cpus if tasks else max(1, grant.cpus // processes)
    return replace(grant, cpus=cpus, memory_gb=grant.memory_gb / processes)


def memory_kills(root: Path = ROOT) -> int | None:
    """Return how many processes the system has killed for memory, in our control group or else on this computer.

    Parameters
    ----------
    root : Path
        Root of the file system, under which ``proc`` and ``sys`` are read.

    Returns
    -------
    int or None
        ``None`` where nobody counts.
    """
    counted = [group / name for group in _control_groups(root) for name in ("memory.events", "memory.oom_control")]
    for file in (*counted, root / "proc/vmstat"):
        for line in _read(file).splitlines():
            word, _, number = line.partition(" ")
            if word == "oom_kill" and number.isdigit():
                return int(number)
    return None


def _cpu_limits(environment: Mapping[str, str], root: Path) -> Iterator[tuple[float, str]]:
    """Yield numbers of CPUs and who says so."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield float(affinity), "processor affinity"
    for group in _control_groups(root):
        quota = _read(group / "cpu.max").split()  # version 2, "max" where there is no limit
        if len(quota) != 2:
            quota = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]  # 1, -1 where no limit
        if quota[0].isdigit() and quota[1].isdigit():
            yield int(quota[0]) / int(quota[1]), "control group"
    # SLURM; PBS Pro; Torque; Grid Engine, which counts all computers of a job.
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "NCPUS", "PBS_NUM_PPN", "NSLOTS"):
        if (text := environment.get(name, "")).isdigit() and int(text):
            hosts = environment.get("NHOSTS", "1") if name == "NSLOTS" else "1"
            yield int(text) / max(1, int(hosts) if hosts.isdigit() else 1), name
    # LSF says "here 4 there 2", the computer on which the job's script runs first.
    words = environment.get("LSB_MCPU_HOSTS", "").split()
    if len(words) > 1 and words[1].isdigit() and int(words[1]):
        yield float(words[1]), "LSB_MCPU_HOSTS"


def _memory_limits(environment: Mapping[str, str], root: Path) -> Iterator[tuple[float, str]]:
    """Yield amounts of memory in GB and who says so."""
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE, "physical memory"
    for group in _control_groups(root):
        for name in ("memory.max", "memory.limit_in_bytes"):  # versions 2 and 1
            if (text := _read(group / name)).isdigit():
                yield int(text) / GIGABYTE, "control group"
    # SLURM counts in MiB; 0 stands for all that the node has.
    per_node, per_cpu = environment.get("SLURM_MEM_PER_NODE", ""), environment.get("SLURM_MEM_PER_CPU", "")
    cpus = environment.get("SLURM_CPUS_ON_NODE", "")
    if per_node.isdigit() and int(per_node):
        yield int(per_node) * 2**20 / GIGABYTE, "SLURM_MEM_PER_NODE"
    elif per_cpu.isdigit() and int(per_cpu) and cpus.isdigit():
        yield int(per_cpu) * int(cpus) * 2**20 / GIGABYTE, "SLURM_MEM_PER_CPU"
    if (amount := _bytes(environment.get("PBS_RESC_MEM", ""))) > 0:
        yield amount / GIGABYTE, "PBS_RESC_MEM"
    # PBS, LSF and Grid Engine say it as limits of each process, if not by a control group.
    for line in _read(root / "proc/self/limits").splitlines():
        name, limit = line[:26].strip(), line[26:].split()
        if name in {"Max address space", "Max resident set"} and limit and limit[0].isdigit():
            yield int(limit[0]) / GIGABYTE, name.lower()


def _bytes(text: str) -> float:
    """Return the bytes of ``16gb`` or ``17179869184``, as PBS writes them; 0 where it is neither."""
    match = re.fullmatch(r"(\d+)([kmgt]?)b?", text.strip().lower())
    return int(match[1]) * 1024.0 ** " kmgt".index(match[2] or " ") if match else 0.0


def _control_groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the process's control groups and of their parents, whose limits hold as well."""
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)  # "0::/a/b" in version 2, "4:cpu,cpuacct:/a/b" in version 1
        names = controllers.split(",")
        if not controllers or "cpu" in names or "memory" in names:
            inner = PurePosixPath(path.lstrip("/"))
            yield from (mounted / controllers / folder for folder in (inner, *inner.parents))


def _gpus(environment: Mapping[str, str], root: Path) -> tuple[int, str]:
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    there = sum(1 for device in (root / "dev").glob("nvidia*") if device.name.removeprefix("nvidia").isdigit())
    if visible is None:
        return there, "devices"
    named = [device for device in visible.split(",") if device.strip() not in {"", "-1", "NoDevFiles"}]
    return min(len(named), there), "CUDA_VISIBLE_DEVICES"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

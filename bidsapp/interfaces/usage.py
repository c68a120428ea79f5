"""What a step took: memory and processor time, measured in its own process, and left beside its results."""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE_FILE = "usage.json"
# Linux forgets the peak of a process when 5 is written here. A worker runs one step after the other.
FORGET = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


@contextmanager
def measured(folder: Path) -> Iterator[None]:
    """Write what the block takes into the folder of a step: the peak of resident memory, GB, and CPU seconds."""
    with suppress(OSError):  # the peak is else that of the whole process so far
        FORGET.write_text("5")
    before = _cpu_seconds()
    try:
        yield
    finally:
        taken = {"peak_gb": round(_peak_gb(), 3), "cpu_s": round(_cpu_seconds() - before, 2)}
        (folder / USAGE_FILE).write_text(json.dumps(taken), encoding="utf-8")


def read_peak(folder: Path) -> float:
    """Return the peak that a step left, GB; 0 where it left none."""
    return _read(folder, "peak_gb")


def read_cpu_seconds(folder: Path) -> float:
    """Return the CPU seconds that a step left; 0 where it left none."""
    return _read(folder, "cpu_s")


def _read(folder: Path, name: str) -> float:
    try:
        return float(json.loads((folder / USAGE_FILE).read_text(encoding="utf-8"))[name])
    except (OSError, ValueError, KeyError):
        return 0.0


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of the programs that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_gb() -> float:
    with suppress(OSError, ValueError):
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9

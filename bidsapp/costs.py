"""What the steps of the participant level took where they were measured, and what others will take by that."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bidsapp.interfaces.usage import read_cpu_seconds
from bidsapp.workflows.nodes import RUN, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.resources import Grant

# CPU seconds of a step on one core, a fixed part and one for each million voxels: of the scan as it was acquired,
# or of the visit's grid. Measured on a clinical visit, T1w of 3.1 and FLAIR of 4.9 million voxels, grid of 7.8
# million (1 mm), on one core of an AVX-512 server beside other programs.
SECONDS = {
    "header": (0.0, 0.03),
    "brain": (5.3, 0.0),  # deepbet works on a grid of its own
    "bias": (0.0, 3.0),
    "register": (9.2, 0.0),  # on a sample of the voxels
    "resample": (0.0, 0.40),
    "head": (0.0, 0.14),
    "tissue": (0.0, 0.03),
    "normalize": (0.0, 0.02),
    "measure": (0.0, 0.50),  # 1.7 s of the reference, 6.0 of the FLAIR, whose registration is tried again
    "figure": (1.1, 0.0),
    "sink": (0.0, 0.16),
}
OWN_GRID = ("header", "brain", "bias")
BASIS = (
    "by the sizes of the images, from a clinical visit on one core of an AVX-512 server; brains by deepbet; "
    "nothing was measured of --skull-strip robex or template and of --output-spaces, which take longer"
)
# Bytes of a compressed image for each voxel of the grid, of a phantom; clinical ones take a sixth to a half less.
BYTES_PER_VOXEL = {"desc-preproc": 3.5, "desc-normalized": 3.3, "_mask": 0.03, "desc-biasfield": 3.5}
FIGURE_BYTES = 450e3
OTHER_BYTES = 2e3
# Bytes of the work folder, for each voxel of a scan, and of the grid for each scan; two visits, within 1 %.
WORK_BYTES = (14, 10)
# The run's own process, and the seconds until its workers have loaded what they need.
MAIN_GB = 0.2
START_SECONDS = 11.0
# Visits of the work folder that are looked at for what steps took.
LOOKED_AT = 50

Own = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Load:
    """What a run asks of a computer.

    Attributes
    ----------
    cpu_seconds, wall_seconds : float
        Of all steps that are left.
    at_a_time : float
        Steps that run at a time.
    memory_gb : float
        The most that they may hold together, with the run's own process.
    why, memory_why : str
        How these were found.
    """

    cpu_seconds: float
    wall_seconds: float
    at_a_time: float
    memory_gb: float
    why: str
    memory_why: str


def own_seconds(work: Path) -> Own:
    """Return contrast and step → median CPU seconds in the visits that earlier runs left in this work folder."""
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for visit in sorted((work / RUN).glob("sub_*"))[:LOOKED_AT]:
        for folder in visit.glob("*_wf/*"):
            seconds = read_cpu_seconds(folder)
            if seconds > 0:
                taken[place_of(f"{RUN}.{visit.name}.{folder.parent.name}.{folder.name}")].append(seconds)
    return {place: median(seconds) for place, seconds in taken.items()}


def step_seconds(node: str, mvoxels: Mapping[str, float], own: Own) -> float:
    """Return the CPU seconds that a step will take.

    Parameters
    ----------
    node : str
        Its full name.
    mvoxels : Mapping
        Contrast → million voxels of the scan, and of the visit's grid under ``""``.
    own : mapping
        From `own_seconds`; where it has the step, that is what is taken.

    Returns
    -------
    float
    """
    place = place_of(node)
    if place in own:
        return own[place]
    step = node.rpartition(".")[2]
    fixed, per_mvoxel = SECONDS.get(step, (0.0, 0.0))
    return fixed + per_mvoxel * mvoxels.get(place[0] if step in OWN_GRID else "", 0.0)


def loaded(left: Sequence[tuple[float, float]], longest: float, grant: Grant) -> Load:
    """Return what the steps that are left ask of the computer.

    Parameters
    ----------
    left : sequence of (float, float)
        CPU seconds of each step, and the memory that it declares, GB.
    longest : float
        Seconds of the longest chain of steps that wait for each other.
    grant : Grant
        Processes at a time, and memory that the steps' declarations may add up to.
    """
    seconds = sum(time for time, _ in left)
    # Steps start as long as what they declare fits: by the time that each takes, so much is held by one.
    mean = sum(time * memory for time, memory in left) / seconds if seconds else 0.0
    fitting = grant.memory_gb / mean if mean else math.inf
    at_a_time = max(1.0, min(grant.cpus, fitting))
    most = max((memory for _, memory in left), default=0.0)
    memory = min(grant.memory_gb, grant.cpus * most) if left else 0.0
    start = START_SECONDS if left else 0.0
    limit = "processes" if grant.cpus <= fitting else "memory"
    granted = f"{grant.cpus} CPUs, {grant.memory_gb:.0f} GB granted"
    return Load(
        seconds,
        start + max(seconds / at_a_time, longest),
        at_a_time,
        memory + MAIN_GB if left else 0.0,
        f"{at_a_time:.1f} steps at a time, limited by {limit} ({granted})",
        f"at most what steps declare, {most:g} GB each, and {MAIN_GB:g} GB for the run's own process",
    )


def output_bytes(grid_mvoxels: float, paths: Sequence[str]) -> float:
    """Return the bytes that a scan's derivatives take: images by the voxels of the grid, all else is small."""
    return sum(_bytes_of(path, grid_mvoxels * 1e6) for path in paths)


def work_bytes(mvoxels: Mapping[str, float]) -> float:
    """Return the bytes of a visit's intermediate files; sizes as for `step_seconds`."""
    scans = [size for contrast, size in mvoxels.items() if contrast]
    per_scan, per_grid = WORK_BYTES
    return 1e6 * (per_scan * sum(scans) + per_grid * len(scans) * mvoxels.get("", 0.0))


def _bytes_of(path: str, voxels: float) -> float:
    for word, per_voxel in BYTES_PER_VOXEL.items():
        if word in path and path.endswith(".nii.gz"):
            return per_voxel * voxels
    return FIGURE_BYTES if path.endswith(".svg") else OTHER_BYTES

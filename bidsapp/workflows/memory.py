"""What each step declares to take of memory, by the sizes of a visit's images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bidsapp.errors import DataError
from bidsapp.imaging.grid import visit_grid
from bidsapp.imaging.headers import check_header
from bidsapp.workflows.method import method_of
from bidsapp.workflows.nodes import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bidsapp.records import Visit
    from bidsapp.settings import Settings

# GB. Behind each figure the peak resident memory that was measured on the T1w and FLAIR of a clinical visit with a
# grid of 233 × 233 × 144, each step in a process of its own; no step declares less.
# Every step holds one thread: ANTs repeats itself only so, and the other cores have other scans to work on.
LEAST_GB = {
    "header": 0.6,  # 0.12
    "brain": 1.6,  # 1.12
    "bias": 1.0,  # 0.50
    "register": 1.0,  # 0.48
    "resample": 0.7,  # 0.23
    "head": 0.7,
    "tissue": 0.6,
    "normalize": 0.6,  # 0.18
    "measure": 0.7,  # 0.24
    "figure": 0.8,  # 0.35
    "sink": 0.6,  # 0.18
    "templates": 1.8,
    "write": 1.8,
}
# Million voxels of the larger scan, and of the grid, of that visit.
MEASURED_MVOXELS = (4.9, 7.8)
# GB for each million voxels more: of the scan, and of the grid. On a T1w of 32 and a FLAIR of 12 million voxels,
# with a grid of 12 million, steps took 0.3 to 0.75 of what they declare by these. Standard spaces are guessed.
PER_MVOXEL = {
    "header": (0.024, 0.0),
    "brain": (0.024, 0.0),
    "bias": (0.07, 0.0),
    "register": (0.034, 0.0),
    "resample": (0.024, 0.016),
    "head": (0.0, 0.016),
    "tissue": (0.0, 0.03),
    "normalize": (0.0, 0.02),
    "measure": (0.02, 0.04),
    "figure": (0.02, 0.02),
    "sink": (0.0, 0.02),
    "templates": (0.03, 0.0),
    "write": (0.03, 0.0),
}
# These hold the reference in its own grid, too.
WITH_REFERENCE = ("register", "measure")


@dataclass(frozen=True)
class Memory:
    """What the steps of a visit may read, and what they declare to take.

    Attributes
    ----------
    granted_gb : float or None
        What the run was granted: the job of a single step may have less, which says nothing about a scan.
    reference : str
        Contrast.
    mvoxels : Mapping of str to float
        Contrast → million voxels of the scan, and of the visit's grid under ``""``; without those unknown.
    """

    granted_gb: float | None = None
    reference: str = ""
    mvoxels: Mapping[str, float] = field(default_factory=dict)

    def declared(self, node: str) -> float:
        """Return the GB that a node of this full name declares."""
        contrast, step = place_of(node)[0], node.rpartition(".")[2].rpartition("_")[2]
        scan, grid = MEASURED_MVOXELS
        per_scan, per_grid = PER_MVOXEL[step]
        scans = [contrast or self.reference, *([self.reference] if step in WITH_REFERENCE else [])]
        beyond = sum(max(0.0, self.mvoxels.get(name, 0.0) - scan) for name in set(scans))
        return LEAST_GB[step] + per_scan * beyond + per_grid * max(0.0, self.mvoxels.get("", 0.0) - grid)


# Of a graph that is only looked at.
UNKNOWN = Memory()


def look_at(settings: Settings, visit: Visit, granted_gb: float) -> tuple[Memory, dict[str, DataError]]:
    """Read the headers of a visit's scans.

    Parameters
    ----------
    settings : Settings
        Reference contrast, resolution.
    visit : Visit
        The visit.
    granted_gb : float
        What the run was granted.

    Returns
    -------
    Memory
        Knows the sizes of what can be used.
    dict of str to DataError
        Contrast → why its header cannot be used.
    """
    mvoxels: dict[str, float] = {}
    problems: dict[str, DataError] = {}
    for scan in visit.scans:
        try:
            shape, affine = check_header(scan.path, granted_gb)
        except DataError as error:
            problems[scan.contrast] = error
            continue
        mvoxels[scan.contrast] = float(np.prod(shape)) / 1e6
        if scan.contrast == settings.reference:
            empty = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), affine)
            grid = visit_grid(empty, method_of(settings, visit, scan).resolution)
            mvoxels[""] = float(np.prod(grid.shape)) / 1e6
    return Memory(granted_gb, settings.reference, mvoxels), problems

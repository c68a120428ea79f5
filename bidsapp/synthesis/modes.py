"""What a network is shown of a volume at once: a patch, all of it, or slices along one axis.

A slice is a patch of thickness one whose slicing axis comes last, so that sampling, augmentation, losses and
windows are the same for all. What a slice is predicted from is `margin` slices thicker on either side.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.records import Plan
    from bidsapp.synthesis.sampling import TrainingVolume

# Which of the world's axes, left-right, back-front and down-up, leads from slice to slice.
ACROSS = {"sagittal": 0, "coronal": 1, "axial": 2}
# Modes of two dimensions, and those that show all of a volume.
SLICED = frozenset({"slabs", "slices", "slice-patches"})
WHOLE = frozenset({"volumes", "slabs", "slices"})
# Slices that 2.5D reads: the one that it predicts, and two on either side.
SLAB = 5
# Edge of a patch of a slice, and patches of a step: about as many voxels as 3D patches have.
SLICE_PATCH = 64
BATCHES = {"volumes": 1, "slabs": 8, "slices": 8, "slice-patches": 16}


def patch_shape(mode: str, axis: str | None, edge: int, extents: Sequence[int] | None) -> tuple[int, int, int]:
    """Return the shape of what a network is shown at once.

    Parameters
    ----------
    mode : str
        ``patches``, ``volumes``, ``slabs``, ``slices`` or ``slice-patches``.
    axis : str or None
        A key of ``ACROSS``, for the last three.
    edge : int
        Voxels of a patch's edge.
    extents : sequence of int or None
        Voxels of the largest volume along left-right, back-front and down-up, for modes that show all of it.

    Returns
    -------
    tuple of int
        Voxels; of slices the last number is their thickness.
    """
    thickness = SLAB if mode == "slabs" else 1
    if mode == "patches":
        return edge, edge, edge
    if mode == "slice-patches":
        return edge, edge, thickness
    if extents is None:
        raise ValueError(f"{mode} are as large as the largest volume, and none is given")
    if mode == "volumes":
        x, y, z = extents
        return x, y, z
    x, y = (n for along, n in enumerate(extents) if along != ACROSS[axis or "axial"])
    return x, y, thickness


def axis_order(plan: Plan) -> tuple[int, ...]:
    """Return a volume's axes, left-right, back-front and down-up, in the order in which a network meets them.

    The axis from slice to slice is the last; else their order stays.
    """
    if plan.slices is None:
        return (0, 1, 2)
    across = ACROSS[plan.slice_axis or "axial"]
    return (*(axis for axis in range(3) if axis != across), across)


def margin(plan: Plan) -> int:
    """Return how many slices on either side a network reads and does not predict."""
    return (plan.slices or 1) // 2


def predicted(plan: Plan) -> tuple[int, int, int]:
    """Return the shape of what is predicted of a patch: of slices a single one."""
    x, y, z = plan.patch
    return x, y, z - 2 * margin(plan)


def voxels_per_step(plan: Plan) -> int:
    """Return how many voxels a step predicts."""
    return plan.batch * math.prod(predicted(plan))


def largest(volumes: Sequence[TrainingVolume]) -> tuple[int, ...]:
    """Return the greatest extents along left-right, back-front and down-up."""
    return tuple(max(volume.mask.shape[1 + axis] for volume in volumes) for axis in range(3))


def steps_per_epoch(plan: Plan, volumes: Sequence[TrainingVolume]) -> float:
    """Return how many steps draw as much as the brains of all volumes have.

    Whole volumes and slices are counted as such, patches by their voxels.
    """
    if plan.input_mode == "volumes":
        return len(volumes) / plan.batch
    if plan.input_mode in {"slabs", "slices"}:
        slices = sum(v.mask[0].any(axis=axis_order(plan)[:2]).sum() for v in volumes)
        return float(slices / plan.batch)
    return sum(len(volume.centres) for volume in volumes) / voxels_per_step(plan)


def phrase(plan: Plan) -> str:
    """Return what the methods paragraph says: ``patches of 24 × 24 × 24 voxels, 4 at a time``."""
    of = f"{plan.slice_axis} slices"
    edges = " × ".join(map(str, plan.patch if plan.slices is None else plan.patch[:2]))
    what = {
        "patches": f"patches of {edges} voxels",
        "volumes": "whole volumes",
        "slabs": f"{of} with {margin(plan)} neighbours on either side",
        "slices": of,
        "slice-patches": f"patches of {edges} voxels of {of}",
    }
    often = " and, after the warm-up, more often where errors were large" if plan.sampling == "error" else ""
    return f"{what[plan.input_mode]}, {plan.batch} at a time{often}"

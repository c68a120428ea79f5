"""The size of a training: the largest network and patch whose steps still number enough in the minutes given.

At few steps a small network is the more accurate one (`benchmarks/synthesis.py` compares sizes).
Depth and patch grow together: on a small patch most of what a deep network's coarse levels see is padding.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bidsapp.synthesis.training import seconds_per_step

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from lightning_fabric import Fabric

    from bidsapp.records import Plan

# Channels of each level and edge of the patch, from small to large; where slices are shown the channels only.
SIZES: dict[str, tuple[tuple[tuple[int, ...], int], ...]] = {
    "unet": (
        ((16, 32, 64), 40),
        ((32, 64, 128), 48),
        ((32, 64, 128, 256), 64),
    ),
}
# On four clinical participants, T1w → FLAIR, twice the channels were no better after 3000 steps than the smallest
# size was in two thirds of their time.
ENOUGH_STEPS = 6000


def size_to_minutes(
    plan: Plan,
    fabric: Fabric,
    measure: Callable[[Plan, Fabric], float] = seconds_per_step,
    fixed: Container[str] = (),
) -> Plan:
    """Give a plan the largest size with which its minutes are worth `ENOUGH_STEPS` steps, else the smallest.

    Parameters
    ----------
    plan : Plan
        Returned as it is where its network has one size only; where ``max_steps`` or ``epochs`` end the training:
        then the result must not depend on how fast a computer is; and where a step takes whole volumes: to time
        it would cost much of what is timed for.
    fabric : Fabric
        Device and precision.
    measure : callable
        Returns the seconds that a step of a plan takes.
    fixed : container of str
        ``channels`` or ``patch``, where they shall stay as they are.

    Returns
    -------
    Plan
    """
    counted = plan.max_steps is not None or plan.epochs is not None
    if plan.minutes is None or counted or plan.network not in SIZES or plan.input_mode == "volumes":
        return plan
    sizes = [
        {"channels": channels, **({} if plan.slices else {"patch": (edge, edge, edge)})}
        for channels, edge in SIZES[plan.network]
    ]
    free: list[dict[str, Any]] = [{n: size for n, size in sized.items() if n not in fixed} for sized in sizes]
    smallest, *larger = dict.fromkeys(dataclasses.replace(plan, **sized) for sized in free)
    fitting = smallest
    for candidate in larger:
        if measure(candidate, fabric) * ENOUGH_STEPS > 60 * plan.minutes:
            break
        fitting = candidate
    return fitting

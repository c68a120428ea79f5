"""The learning rate range test: how large the steps of a training may be (Smith 2017, doi:10.1109/WACV.2017.58).

The rate rises from step to step by a constant factor, and the loss falls, stays and climbs again. **The rule**:
the peak of the one-cycle schedule is a tenth of the rate at which the smoothed loss is least. Beyond that rate
steps do harm, and a training that stays near it for a third of its time would be on the edge of doing so. (On five
clinical visits, T1w → FLAIR, the least loss was at .079, so that the rule takes .008; the recipe's rate is .006.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.synthesis.crew import led
from bidsapp.synthesis.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lightning_fabric import Fabric
    from torch import Tensor

    from bidsapp.records import Plan
    from bidsapp.synthesis.sampling import TrainingVolume

RATES_FILE = "learning_rate.tsv"
STEPS = 100
LOWEST, HIGHEST = 1e-5, 1.0
# Of a batch the loss differs by a fifth from that of the next, and only the average of several tells a trend.
HALF_WINDOW = 5
DIVISOR = 10.0
# A loss so many times the least one does not come down again.
HOPELESS = 4.0


@dataclass(frozen=True)
class RangeTest:
    """The course of a range test.

    Attributes
    ----------
    rates, losses, smoothed : tuple of float
        Of each step: its learning rate, the loss after it, and the geometric mean of the losses around that.
    chosen : float
        What the rule takes.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    chosen: float

    def to_tsv(self) -> str:
        """Return one row for each step."""
        rows = zip(self.rates, self.losses, self.smoothed, strict=True)
        lines = ("\t".join(f"{value:.6g}" for value in row) for row in rows)
        return "\n".join(["learning_rate\tloss\tsmoothed", *lines, ""])


@led
def find_rate(
    volumes: Sequence[TrainingVolume], plan: Plan, fabric: Fabric, weights: Mapping[str, Tensor] | None = None
) -> tuple[Plan, RangeTest]:
    """Return a plan with the learning rate that a range test on some volumes chose, and the test."""
    run = Run(volumes, plan, fabric, weights)
    test = range_test(lambda rate: run.step_at(rate, momentum=0.9))
    return replace(plan, learning_rate=test.chosen), test


def range_test(step: Callable[[float], float]) -> RangeTest:
    """Raise the learning rate until the loss climbs, and choose one.

    Parameters
    ----------
    step : callable
        Takes a step at a learning rate and returns the loss before it.

    Returns
    -------
    RangeTest
        Of at most 100 steps.
    """
    rates: list[float] = []
    losses: list[float] = []
    before: float | None = None
    for rate in np.geomspace(LOWEST, HIGHEST, STEPS + 1).tolist():
        loss = step(rate)
        if losses and not loss < HOPELESS * min(losses):  # nor where it is no number
            break
        if before is not None:  # the loss is that of the weights which the rate before has made
            rates.append(before)
            losses.append(loss)
        before = rate
    smoothed = smooth(losses)
    return RangeTest(tuple(rates), tuple(losses), smoothed, rates[int(np.argmin(smoothed))] / DIVISOR)


def smooth(losses: Sequence[float]) -> tuple[float, ...]:
    """Return geometric means of the losses in windows of up to 11 steps, centred: they lag behind nothing."""
    logarithms = [math.log(max(loss, 1e-30)) for loss in losses]
    windows = [logarithms[max(0, n - HALF_WINDOW) : n + HALF_WINDOW + 1] for n in range(len(losses))]
    return tuple(math.exp(fmean(window)) for window in windows)

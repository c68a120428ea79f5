"""What is checked of a synthesized image: how a number is read, how much it usually varies, what to say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def _exponential(value: float) -> float:
    return float(np.exp(value))


@dataclass(frozen=True)
class Check:
    """A number with an accepted range.

    Attributes
    ----------
    what : str
        What the number is, for a person; ``{}`` stands for what it is of.
    spread : float
        Standard deviation that it usually has between people of one cohort: rounded from six visits of `openms`
        (four people) and ten of eight phantoms, the larger of the two.
    low, high : str
        What it means to be below or above; empty where that is no fault.
    shown : callable
        From the number to what a person reads: most are logarithms.
    unit : str
        Of what is read.
    """

    what: str
    spread: float
    low: str = ""
    high: str = ""
    shown: Callable[[float], float] = _exponential
    unit: str = ""

    @property
    def sides(self) -> tuple[int, ...]:
        """Directions that are a fault: −1, 1 or both."""
        return tuple(side for side, fault in ((-1, self.low), (1, self.high)) if fault)


def _same(value: float) -> float:
    return value


CHECKS: dict[str, Check] = {
    "likeness": Check(
        "agreement of {} with the training set's mean",
        0.15,
        low="{} looks like another contrast, another orientation or an uneven field",
        shown=np.tanh,
    ),
    "orientation": Check(
        "agreement of {} with the training set's mean, over that of the best turned or mirrored {},",
        0.15,
        low="{} looks turned or upside down",
        shown=_same,
    ),
    "shape": Check(
        "share of the brain mask that lies elsewhere than the training set's",
        0.2,
        high="the brain mask has another shape: turned, cut, or badly found",
    ),
    "extent": Check(
        "standard deviation of the brain along {}",
        0.05,
        low="the brain is short along {}: cut off, or turned",
        high="the brain is long along {}: turned, or not only brain",
        unit=" mm",
    ),
    "border": Check(
        "brain on the border of the field of view",
        10.0,
        high="the field of view cuts the brain",
        shown=_same,
        unit=" cm²",
    ),
    "spacing": Check(
        "longest voxel edge",
        0.05,
        low="voxels are smaller than the training set's",
        high="voxels are larger than the training set's",
        unit=" mm",
    ),
    "histogram": Check(
        "distance of the intensities of {} from the training set's",
        0.6,
        high="the intensities of {} are distributed otherwise",
    ),
    "grain": Check(
        "difference of {} between neighbouring voxels",
        0.2,
        low="{} is smoother than the training set's: blurred",
        high="{} is noisier than the training set's",
    ),
    "grain along": Check(
        "difference of {} between neighbours over that along all axes",
        0.05,
        low="{} is smoother than along other axes: thick slices, or another orientation",
        high="{} is rougher than along other axes: ghosts, or another orientation",
    ),
    "field": Check(
        "range of the bias field that was removed from {}",
        0.05,
        high="{} had a stronger bias field than the training set's",
    ),
    "air": Check(
        "energy of the head over that of the air around it in {}",
        0.7,
        low="the air around the head is bright in {}: noise, ghosts or wrap-around",
    ),
    "entropy": Check(
        "entropy focus criterion of {}",
        0.02,
        high="the intensities of {} are smeared out: ghosts or motion",
        shown=_same,
    ),
    "unfamiliarity": Check(
        "distance of the network's coarsest features from its training's",
        0.2,
        high="the network meets features that it did not learn from",
    ),
    "uncertainty": Check(
        "mean predicted uncertainty",
        0.2,
        high="the network is less sure than it was of people whom it did not know",
    ),
    "sharpness": Check(
        "sharpness of the prediction over that of acquired targets",
        0.1,
        low="the prediction is blurred",
        high="the prediction is rougher than predictions of others",
    ),
}


def check_of(name: str) -> Check:
    """Return the check of a number, ``kind`` or ``kind:of what``."""
    return CHECKS[name.partition(":")[0]]


def reason(name: str, value: float, middle: float, tolerance: float) -> str:
    """Say what is wrong and by how much.

    Parameters
    ----------
    name : str
        ``kind`` or ``kind:of what``.
    value, middle, tolerance : float
        The number, and what is accepted; `value` lies beyond.
    """
    check, of = check_of(name), name.partition(":")[2]
    above = value > middle
    end = middle + tolerance if above else middle - tolerance
    shown, limit = (f"{check.shown(number):.3g}{check.unit}" for number in (value, end))
    fault, bound = (check.high, "most") if above else (check.low, "least")
    fault, what = (words.replace("{}", of) for words in (fault, check.what))
    return f"{fault}: {what} is {shown}, {bound} accepted {limit}"

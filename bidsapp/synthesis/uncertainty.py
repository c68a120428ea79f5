"""Intervals that hold what they promise: predicted scales, stretched to what was seen on people held out.

A network learns how large its errors are on people whom it has seen, and is too sure of itself. What is divided
here is the error at each voxel of a held-out person by the scale predicted there; the interval is as many scales
wide as cover the wanted share of voxels, in the mean over people (split-conformal prediction with pooled
distributions, Dunn et al. 2022, doi:10.1080/01621459.2022.2060112; across folds, Vovk 2015,
doi:10.1007/s10472-013-9368-4). Their guarantee for finite samples would ask for an infinite interval of fewer than
ten people and is not used: of few people, the share that is covered is expected to hold, not certain to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsapp.errors import DataError
from bidsapp.imaging.intensity import HU_PER_UNIT
from bidsapp.text import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bidsapp.synthesis.inference import Predicted
    from bidsapp.synthesis.pairs import Volume

# Share of voxels that an interval shall cover.
LEVEL = 0.9
RANKS = tuple(n / 100 for n in range(1, 100))
# What tables say of the fields of `Interval`.
INTERVAL_MEASURED = {
    "coverage": f"Share of the voxels in the brain whose acquired value lies in the {100 * LEVEL:g} % interval",
    "interval_width": "Median width of that interval, normalized units; of a CT, HU",
    "width_error_r": "Pearson's r of the width and the absolute error of a voxel: does it know where it is wrong",
}


@dataclass(frozen=True)
class Residuals:
    """How a held-out visit's errors relate to the scales that were predicted for it.

    Attributes
    ----------
    visit, participant : str
        Labels in the dataset that was learned from.
    fold : int
        The fold that held the participant out.
    quantiles : tuple of float
        Of absolute error over scale, at the 1st to 99th percent of the voxels.
    """

    visit: str
    participant: str
    fold: int
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """What intervals are made from.

    Attributes
    ----------
    residuals : tuple of Residuals
        One for each visit that was held out, at least one.
    """

    residuals: tuple[Residuals, ...]

    def others(self, fold: int | None) -> Calibration:
        """Return the calibration on the people of all other folds: nobody's interval is calibrated on himself."""
        return Calibration(tuple(r for r in self.residuals if fold is None or r.fold != fold) or self.residuals)

    @property
    def participants(self) -> tuple[str, ...]:
        """Whom it was calibrated on."""
        return tuple(sorted({r.participant for r in self.residuals}))

    def factor(self, level: float = LEVEL) -> float:
        """Return how many scales on either side cover a share of the voxels, in the mean over people."""
        return _factor(self.residuals, level)

    def factors(self, levels: Sequence[float]) -> NDArray[np.float64]:
        """Return `factor` of several levels, for little more than that of one."""
        values = np.unique([r.quantiles for r in self.residuals])
        people = self._by_person().values()
        total = np.zeros(len(values))
        for own in people:  # one after the other: of thousands the shares at all values fill no memory
            total += np.mean([_covered(r, values) for r in own], axis=0)
        return np.asarray(np.interp(levels, total / len(people), values), np.float64)

    def held_out(self, level: float = LEVEL) -> dict[str, float]:
        """Return participant → share of voxels that an interval calibrated on the other folds' people covers."""
        return {person: shares[0] for person, shares in self.coverage([level]).items()}

    def coverage(self, levels: Sequence[float]) -> dict[str, tuple[float, ...]]:
        """Return `held_out` of several levels."""
        factors = {fold: self.others(fold).factors(levels) for fold in {r.fold for r in self.residuals}}
        return {
            person: tuple(np.mean([_covered(r, factors[r.fold]) for r in own], axis=0).tolist())
            for person, own in self._by_person().items()
        }

    def summary(self, level: float = LEVEL) -> dict[str, Any]:
        """Return what sidecars say of it."""
        return {
            "Method": "split conformal: errors of people whom the predicting network never saw, over the scale of "
            "Laplace's distribution that it predicted, pooled (doi:10.1080/01621459.2022.2060112)",
            "Participants": len(self.participants),
            "Visits": len(self.residuals),
            "Factor": round(self.factor(level), 4),
        }

    def _by_person(self) -> dict[str, list[Residuals]]:
        people: dict[str, list[Residuals]] = {person: [] for person in self.participants}
        for r in self.residuals:
            people[r.participant].append(r)
        return people

    def to_json(self) -> dict[str, Any]:
        """Return what the bundle writes."""
        rows = [
            {
                "Visit": r.visit,
                "Participant": r.participant,
                "Fold": r.fold,
                "Quantiles": [float(f"{q:.6g}") for q in r.quantiles],
            }
            for r in self.residuals
        ]
        return {"Quantiles": "of absolute error over predicted scale, 1 to 99 % of voxels", "Visits": rows}


@lru_cache(maxsize=128)
def _factor(residuals: tuple[Residuals, ...], level: float) -> float:
    """Return the factor of these residuals, which every visit of a fold asks for."""
    return float(Calibration(residuals).factors([level])[0])


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as JSON."""
    path.write_text(json.dumps(calibration.to_json(), indent=1) + "\n", encoding="utf-8")


def read_calibration(path: Path) -> Calibration:
    """Read what `write_calibration` wrote; `DataError` where it is something else."""
    try:
        content = read_json(path)
        residuals = tuple(
            Residuals(
                str(row["Visit"]), str(row["Participant"]), int(row["Fold"]), tuple(map(float, row["Quantiles"]))
            )
            for row in content["Visits"]
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no calibration ({error})", "copy the bundle again") from error
    if not residuals or not all(map(_sound, residuals)):
        raise DataError(f"{path}: no calibration", "copy the bundle again")
    return Calibration(residuals)


def _sound(r: Residuals) -> bool:
    rising = len(r.quantiles) == len(RANKS) and bool(np.all(np.diff(r.quantiles) >= 0))
    return rising and r.quantiles[0] >= 0 and r.quantiles[-1] < np.inf


def residuals(volume: Volume, predicted: Predicted, fold: int) -> Residuals:
    """Return how the errors of a prediction relate to its scales.

    Parameters
    ----------
    volume : Volume
        A visit with its target.
    predicted : Predicted
        By a network that never saw the participant.
    fold : int
        The network's.
    """
    error, inside = _errors(volume, predicted.image)
    quantiles = np.quantile(error / predicted.scale[inside], RANKS)
    return Residuals(volume.pair.visit, volume.pair.participant, fold, tuple(map(float, quantiles)))


@dataclass(frozen=True)
class Interval:
    """How an interval fared against an acquired image; `INTERVAL_MEASURED` explains each number."""

    coverage: float
    interval_width: float
    width_error_r: float | None

    def to_json(self) -> dict[str, float | None]:
        """Return what sidecars and tables write."""
        return {name: getattr(self, name) for name in INTERVAL_MEASURED}


def measure_interval(volume: Volume, image: NDArray[np.float32], half: NDArray[np.float32]) -> Interval | None:
    """Measure an interval where the target was acquired.

    Parameters
    ----------
    volume : Volume
        A visit.
    image, half : ndarray, shape (X, Y, Z)
        Its prediction, and half the width of the interval around it, cropped like the volume.

    Returns
    -------
    Interval or None
        ``None`` where the visit lacks the target.
    """
    if volume.target is None or volume.loss_mask is None or not volume.loss_mask.any():
        return None
    error, inside = _errors(volume, image)
    width = 2 * half[inside].astype(np.float64)
    varies = error.std() > 0 and width.std() > 0
    r = float(np.corrcoef(width, error)[0, 1]) if varies else None
    unit = HU_PER_UNIT if volume.pair.hounsfield else 1.0
    return Interval(float(np.mean(2 * error <= width)), unit * float(np.median(width)), r)


def _covered(r: Residuals, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.interp(values, r.quantiles, RANKS, left=0.0, right=1.0)


def _errors(volume: Volume, image: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if volume.target is None or volume.loss_mask is None:
        raise ValueError(f"{volume.pair.visit} has no target to measure against")
    inside = volume.loss_mask
    return np.abs(image[inside].astype(np.float64) - volume.target[inside]), inside

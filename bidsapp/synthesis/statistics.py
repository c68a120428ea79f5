"""How sure one may be that a model beats another: paired, over participants, whose visits are averaged first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
# Of five pairs that all point one way, the two-sided signed-rank test gives p = 2 / 2⁵ = .0625.
FEWEST = 6


@dataclass(frozen=True)
class Interval:
    """A mean over participants and its bootstrap 95 % interval, ``None`` of fewer than two; `n` of them."""

    n: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """Our model against a rival, on the participants that both predicted.

    Attributes
    ----------
    n : int
        Participants.
    ours, theirs : float
        Mean of the measure.
    difference : Interval
        Of ours minus theirs, participant by participant.
    p : float or None
        Of the two-sided Wilcoxon signed-rank test; ``None`` where it could not reach .05 whatever the data.
    """

    n: int
    ours: float
    theirs: float
    difference: Interval
    p: float | None


def by_participant(visits: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Return participant → mean over the visits, given (participant, value) of each visit."""
    values: dict[str, list[float]] = {}
    for participant, value in visits:
        values.setdefault(participant, []).append(value)
    return {participant: float(np.mean(found)) for participant, found in values.items()}


def common_visits(rows: Sequence[Mapping[str, Any]], models: Sequence[str], measure: str) -> set[str]:
    """Return the visits of which all models have a measure; a model that has it of no visit does not count."""
    visits = [
        {str(row["visit"]) for row in rows if row["model"] == model and row.get(measure) is not None}
        for model in models
    ]
    return set.intersection(*filter(None, visits)) if any(visits) else set()


def paired(rows: Sequence[Mapping[str, Any]], models: Sequence[str], measure: str) -> dict[str, dict[str, float]]:
    """Return model → participant → mean of a measure over the visits of which all models have it.

    Means over different visits would compare the visits, not the models.

    Parameters
    ----------
    rows : sequence of mapping
        One for each visit and model, keys ``visit``, ``participant``, ``model`` and measures, or ``None``.
    models : sequence of str
        Those that are compared.
    measure : str
        The measure.

    Returns
    -------
    dict
        Of a model that has it of no visit nobody is known.
    """
    visits = common_visits(rows, models, measure)
    return {
        model: by_participant(
            [
                (str(row["participant"]), float(row[measure]))
                for row in rows
                if row["model"] == model and row["visit"] in visits and row.get(measure) is not None
            ]
        )
        for model in models
    }


def interval(values: Sequence[float], seed: int) -> Interval:
    """Return a mean and its percentile bootstrap interval (Efron 1979, doi:10.1214/aos/1176344552).

    Parameters
    ----------
    values : sequence of float
        One for each participant, at least one.
    seed : int
        Seed of 10,000 resamples.
    """
    data = np.asarray(values, np.float64)
    if data.size < 2:
        return Interval(data.size, float(data.mean()), None, None)
    low, high = np.quantile(_resampled_means(data, seed), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(data.size, float(data.mean()), float(low), float(high))


def compare(ours: Mapping[str, float], theirs: Mapping[str, float], seed: int) -> Comparison | None:
    """Compare two models on the participants that both predicted.

    Parameters
    ----------
    ours, theirs : mapping of str to float
        Participant → measure, see `by_participant`.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Comparison or None
        ``None`` where there is no such participant.
    """
    from scipy.stats import wilcoxon

    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None
    a, b = (np.array([values[participant] for participant in both]) for values in (ours, theirs))
    p = None
    if len(both) >= FEWEST:
        # Two models that agree everywhere leave no rank to test.
        p = float(wilcoxon(a, b).pvalue) if (a != b).any() else 1.0
    return Comparison(len(both), float(a.mean()), float(b.mean()), interval(list(a - b), seed), p)


def _resampled_means(data: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return the means of samples drawn with replacement, a few at a time: a cohort may have thousands."""
    random = np.random.default_rng(seed)
    return np.array([data[random.integers(data.size, size=data.size)].mean() for _ in range(RESAMPLES)])

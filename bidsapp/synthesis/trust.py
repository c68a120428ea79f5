"""Whether a synthesized image is to be trusted: its signature against those of held-out training visits.

Every check is a number with a tolerance, and its score how much of the tolerance is used up. An image is trusted
if no score is above 1, rejected if one is above 2, and else a matter for caution. No image is trusted of a network
that did no better on held-out participants than a map of intensities, which knows no place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.synthesis.acceptance import Accepted, TrustReference
from bidsapp.synthesis.checks import CHECKS, check_of, reason
from bidsapp.synthesis.signature import BINS, MASK, OUTPUT, TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bidsapp.synthesis.signature import Signature

TRUST, CAUTION, REJECT = "trust", "caution", "reject"
LABELS = (TRUST, CAUTION, REJECT)
# A score of more than this is a reason to reject.
REJECTED = 2.0
# Of clean images like the training set's, how many may fail one check or another.
FALSE_ALARMS = 0.02
# What is known of a check's spread beforehand counts as so many participants.
PRIOR_WEIGHT = 4.0


@dataclass(frozen=True)
class Verdict:
    """Whether an image is to be trusted.

    Attributes
    ----------
    label : str
        ``trust``, ``caution`` or ``reject``.
    reasons : tuple of str
        What is wrong and by how much, in sentences, the worst first; none where it is trusted.
    scores : Mapping of str to float
        Of each check, how much of its tolerance is used up; above 1 it failed.
    """

    label: str
    reasons: tuple[str, ...]
    scores: Mapping[str, float]


def fit_trust(
    signatures: Sequence[tuple[str, Signature]],
    errors: tuple[float, float] | None = None,
    *,
    false_alarms: float = FALSE_ALARMS,
) -> TrustReference:
    """Learn from held-out visits what to accept.

    Every visit is compared with the means of the *other participants*, as a new one will be with the means of all,
    so that tolerances are not optimistic. What is accepted is the normal prediction interval for one more
    participant (Hahn 1970, doi:10.2307/2284349). With few participants a standard deviation is hardly known: its
    square is averaged with that of `Check.spread`, which counts as four participants (Smyth 2004,
    doi:10.2202/1544-6115.1027), and so is never nearly nothing where a cohort is uniform. The false-alarm rate is
    that of all checks together: it is divided among their sides (Bonferroni), which is the safe side, for they are
    correlated. It holds as far as measures are normal and the prior spreads are not too small. A check of a source
    that few participants have counts those few; where one alone has it, the prior spread is all that is known, and
    the tolerance is wide.

    Parameters
    ----------
    signatures : sequence of (str, Signature)
        Participant and signature of each visit, its prediction made by a network that never saw the participant.
    errors : tuple of (float, float), optional
        See `TrustReference`.
    false_alarms : float
        Share of clean images that may be less than trusted.

    Returns
    -------
    TrustReference
    """
    found: dict[str, list[tuple[str, float]]] = {}
    for participant, signature in signatures:
        others = [other for label, other in signatures if label != participant]
        for name, value in measure(signature, *_means(others or [signature])).items():
            if math.isfinite(value):
                found.setdefault(name, []).append((participant, value))
    sides = sum(len(check_of(name).sides) for name in found)
    accepted = {
        name: _accepted(values, check_of(name).spread, false_alarms / sides) for name, values in found.items()
    }
    everyone = [signature for _, signature in signatures]
    participants = len({participant for participant, _ in signatures})
    return TrustReference(*_means(everyone), accepted, false_alarms, participants, len(signatures), errors)


def judge(signature: Signature, reference: TrustReference) -> Verdict:
    """Judge an image by its signature.

    Parameters
    ----------
    signature : Signature
        Of input and prediction. A check that the reference or the signature has nothing for is left out.
    reference : TrustReference
        Of the bundle that predicted it.

    Returns
    -------
    Verdict
    """
    values = measure(signature, reference.maps, reference.quantiles, reference.edges)
    scores: dict[str, float] = {}
    reasons = [f"{name} has one intensity throughout the brain" for name in signature.constant]
    for name, value in values.items():
        if name in reference.accepted and math.isfinite(value):
            accepted = reference.accepted[name]
            away = (value - accepted.middle) / accepted.tolerance
            scores[name] = max((away * side for side in check_of(name).sides), default=0.0)
            scores[name] = max(scores[name], 0.0)
    for name in sorted(scores, key=lambda name: -scores[name]):
        if scores[name] > 1:
            accepted = reference.accepted[name]
            reasons.append(reason(name, values[name], accepted.middle, accepted.tolerance))
    if reference.reservation:
        reasons.append(reference.reservation)
    rejected = bool(signature.constant) or max(scores.values(), default=0.0) > REJECTED
    label = REJECT if rejected else CAUTION if reasons else TRUST
    return Verdict(label, tuple(reasons), scores)


def measure(
    signature: Signature,
    maps: Mapping[str, NDArray[np.float32]],
    quantiles: Mapping[str, NDArray[np.float32]],
    edges: float,
) -> dict[str, float]:
    """Return check → number, given the means of a `TrustReference`; keys are ``kind`` or ``kind:of what``."""
    numbers = {name: value for name, value in signature.numbers.items() if name.partition(":")[0] in CHECKS}
    mask, usual = signature.maps[MASK], maps[MASK]
    numbers["shape"] = float(np.log(max(np.abs(mask - usual).sum() / (mask + usual).sum(), 1e-3)))
    for name, values in signature.maps.items():
        mean = maps.get(TARGET if name == OUTPUT else name)
        if name not in {MASK, TARGET} and mean is not None:
            kind = "likeness:prediction" if name == OUTPUT else f"likeness:{name}"
            numbers[kind] = _agreement(values, mean, np.minimum(mask, usual))
            if name != OUTPUT:
                numbers[f"orientation:{name}"] = numbers[kind] - _turned(values, mask, mean, usual)
    for name, values in signature.quantiles.items():
        if name in quantiles:
            distance = float(np.abs(values - quantiles[name]).mean())
            numbers[f"histogram:{name}"] = float(np.log(max(distance, 1e-3)))
    if "edges:prediction" in signature.numbers and math.isfinite(edges):
        numbers["sharpness"] = signature.numbers["edges:prediction"] - edges
    return numbers


def _means(
    signatures: Sequence[Signature],
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]], float]:
    """Return mean maps, weighted by how much of each bin is brain, mean quantiles, and mean edges of targets."""
    maps: dict[str, NDArray[np.float32]] = {}
    for name in dict.fromkeys(name for s in signatures for name in s.maps if name != OUTPUT):
        having = [s for s in signatures if name in s.maps]
        weights = np.stack([np.ones_like(s.maps[MASK]) if name == MASK else s.maps[MASK] for s in having])
        total = np.sum([w * s.maps[name] for w, s in zip(weights, having, strict=True)], axis=0)
        maps[name] = (total / np.maximum(weights.sum(axis=0), 1e-6)).astype(np.float32)
    names = dict.fromkeys(name for s in signatures for name in s.quantiles)
    quantiles = {n: np.mean([s.quantiles[n] for s in signatures if n in s.quantiles], axis=0) for n in names}
    edges = [s.numbers["edges:target"] for s in signatures if "edges:target" in s.numbers]
    return maps, quantiles, float(np.mean(edges)) if edges else math.nan


def _agreement(a: NDArray[np.float32], b: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """Return Fisher's z of the weighted correlation of two maps."""
    w = weights.astype(np.float64) / max(float(weights.sum()), 1e-9)
    x, y = (m.astype(np.float64) - float((w * m).sum()) for m in (a, b))
    norm = math.sqrt(float((w * x * x).sum()) * float((w * y * y).sum()))
    r = float((w * x * y).sum()) / norm if norm > 0 else 0.0
    return float(np.arctanh(np.clip(r, -0.999, 0.999)))


def _turned(
    values: NDArray[np.float32], mask: NDArray[np.float32], mean: NDArray[np.float32], usual: NDArray[np.float32]
) -> float:
    """Return the best agreement of a map that is turned by quarters or mirrored, but not from left to right."""
    cubes = [flat.reshape((BINS,) * 3) for flat in (values, mask)]
    found = []
    for order in permutations(range(3)):
        for flipped in chain.from_iterable(combinations(range(3), n) for n in range(4)):
            if order != (0, 1, 2) or set(flipped) - {0}:
                v, m = (np.flip(cube.transpose(order), flipped).ravel() for cube in cubes)
                found.append(_agreement(v, mean, np.minimum(m, usual)))
    return max(found)


def _accepted(visits: Sequence[tuple[str, float]], spread: float, tail: float) -> Accepted:
    """Return the prediction interval for one more participant, with the probability `tail` beyond each end.

    Given are the participant and the value of each visit that has one.
    """
    from scipy.stats import t

    values = [value for _, value in visits]
    participants = len({participant for participant, _ in visits})
    own = np.var(values, ddof=1) * (participants - 1) if len(values) > 1 and participants > 1 else 0.0
    freedom = PRIOR_WEIGHT + participants - 1
    deviation = math.sqrt((PRIOR_WEIGHT * spread**2 + own) / freedom)
    factor = float(t.ppf(1 - tail, freedom)) * math.sqrt(1 + 1 / participants)
    return Accepted(float(np.mean(values)), factor * deviation)

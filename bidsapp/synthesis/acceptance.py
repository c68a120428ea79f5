"""What the predictions of a bundle are judged by: what held-out training visits are like."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsapp.errors import DataError
from bidsapp.text import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TRUST_FILE = "trust.json"


@dataclass(frozen=True)
class Accepted:
    """What a check accepts: `middle` ± `tolerance`, or only one side of it."""

    middle: float
    tolerance: float


@dataclass(frozen=True)
class TrustReference:
    """What held-out training visits are like.

    Attributes
    ----------
    maps, quantiles : Mapping of str to ndarray
        Means over the visits of those of `Signature`.
    edges : float
        Mean logarithm of the mean gradient of acquired targets.
    accepted : Mapping of str to Accepted
        Of each check.
    false_alarms : float
        Share of clean images that the tolerances were made to let fail.
    participants, visits : int
        How many they were calibrated on.
    errors : tuple of (float, float), or None
        Mean absolute errors of the network and of the best map of intensities on held-out participants.
    """

    maps: Mapping[str, NDArray[np.float32]]
    quantiles: Mapping[str, NDArray[np.float32]]
    edges: float
    accepted: Mapping[str, Accepted]
    false_alarms: float
    participants: int
    visits: int
    errors: tuple[float, float] | None = None

    @property
    def reservation(self) -> str:
        """Why no image of the network is trusted; empty where one may be."""
        if self.errors is None or self.errors[0] < self.errors[1]:
            return ""
        ours, floor = self.errors
        return (
            "the network is no better than a map of intensities that knows no place: on held-out participants its "
            f"error was {ours:.3g}, that of the map {floor:.3g}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain types; maps and quantiles to four digits."""
        return {
            "FalseAlarmRate": self.false_alarms,
            "Participants": self.participants,
            "Visits": self.visits,
            "Errors": self.errors and list(self.errors),
            "Accepted": {name: [a.middle, a.tolerance] for name, a in self.accepted.items()},
            "Edges": self.edges,
            "Quantiles": _rounded(self.quantiles),
            "Maps": _rounded(self.maps),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrustReference:
        """Return what `to_json` wrote; `KeyError`, `TypeError` or `ValueError` where it is something else."""
        maps, quantiles = (
            {str(name): np.asarray(values, np.float32) for name, values in content[part].items()}
            for part in ("Maps", "Quantiles")
        )
        accepted = {str(name): Accepted(float(m), float(t)) for name, (m, t) in content["Accepted"].items()}
        rate, edges = float(content["FalseAlarmRate"]), float(content["Edges"])
        counts = int(content["Participants"]), int(content["Visits"])
        ours, floor = content.get("Errors") or (math.nan, math.nan)  # bundles did not say it before
        errors = None if math.isnan(ours) else (float(ours), float(floor))
        return cls(maps, quantiles, edges, accepted, rate, *counts, errors)


def write_trust(path: Path, reference: TrustReference) -> None:
    """Write a reference as JSON."""
    path.write_text(json.dumps(reference.to_json()) + "\n", encoding="utf-8")


def read_trust(path: Path) -> TrustReference:
    """Read what `write_trust` wrote; `DataError` where it is something else."""
    try:
        return TrustReference.from_json(read_json(path))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: nothing to judge by ({error})", "copy the bundle again") from error


def _rounded(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, list[float]]:
    return {name: [float(f"{value:.4g}") for value in values] for name, values in arrays.items()}

"""Whether a CT is in Hounsfield units, or in those that are 1024 too high, whatever its padding is."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIFT = 1024
# Scanners pad what lies outside their circular field of view with −2000, −2048 or −3024: no measured value.
PADDING_HU = -1100.0
# Old scanners put air up to 200 above its place, with or without the shift.
AIR_RANGE = (PADDING_HU, -750.0)
SHIFTED_AIR = (-200.0, 250.0)
SHIFTED_TISSUE = (1000.0, 1150.0)
SHIFTED_BONE = 1250.0
TISSUE_SEARCH = (600.0, 1500.0)
BIN = 25.0
LEAST_SHARE = 0.05
# A block of a head has air in its sinuses only.
LEAST_AIR = 0.001


class Units(Enum):
    """What the values of a CT are."""

    HOUNSFIELD = "HU"
    SHIFTED = f"HU + {SHIFT}"
    UNKNOWN = "unknown"


def units_of(data: NDArray[np.generic]) -> Units:
    """Tell the units of a CT by where its air and its soft tissue lie.

    Padding proves nothing: neither what is below −1100, nor the lowest value where many voxels have exactly that
    one. Images that were resampled have −1024 outside, whatever their units are.

    Parameters
    ----------
    data : ndarray, shape (X, Y, Z)
        Values with slope and intercept applied.
    """
    values = np.asarray(data, np.float32).ravel()
    seen = values[values > PADDING_HU]
    if not seen.size:
        return Units.UNKNOWN
    above = seen[seen > seen.min()]
    measured = seen if above.size > (1 - LEAST_SHARE) * seen.size else above
    if _share(measured, AIR_RANGE) >= LEAST_SHARE:
        return Units.HOUNSFIELD
    has_air = _share(seen, AIR_RANGE) >= LEAST_AIR
    if _is_shifted(seen, doubtful=has_air):
        return Units.SHIFTED
    return Units.HOUNSFIELD if has_air else Units.UNKNOWN


def _is_shifted(values: NDArray[np.float32], *, doubtful: bool) -> bool:
    """Return whether there is air near 0 and one large class where water and brain are 1024 too high.

    Where something is near −1000, too, that class must be no bone: bone has all values, and is above it besides.
    """
    inside = values[(values > TISSUE_SEARCH[0]) & (values < TISSUE_SEARCH[1])]
    if _share(values, SHIFTED_AIR) < LEAST_SHARE or inside.size < LEAST_SHARE * values.size:
        return False
    if doubtful and (
        _share(inside, SHIFTED_TISSUE) < 0.5 or (values > SHIFTED_BONE).sum() < LEAST_SHARE * inside.size
    ):
        return False
    counts, edges = np.histogram(inside, bins=np.arange(TISSUE_SEARCH[0], TISSUE_SEARCH[1] + BIN, BIN))
    peak = float(edges[counts.argmax()]) + BIN / 2
    return SHIFTED_TISSUE[0] < peak < SHIFTED_TISSUE[1]


def _share(values: NDArray[np.float32], limits: tuple[float, float]) -> float:
    return float(((values > limits[0]) & (values < limits[1])).sum() / max(values.size, 1))

"""Tissues and sequences of the simulation, fixed before anything was measured on it.

Relaxation times at 3 T, ms, and proton densities relative to water: rounded from Stanisz et al. 2005
(doi:10.1002/mrm.20605) and Wansapura et al. 1999, J Magn Reson Imaging 9:531.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """Longitudinal and transverse relaxation times (ms) and proton density (relative to water)."""

    t1: float
    t2: float
    pd: float


@dataclass(frozen=True)
class Sequence:
    """Timing of a sequence.

    Attributes
    ----------
    tr, te, ti : float
        Repetition, echo and inversion time, ms; no inversion where ``ti`` is 0.
    flip : float
        Flip angle, degrees; below 90 the echoes are spoiled gradient echoes.
    pulses : int
        Gradient echoes after each inversion, the middle one ``ti`` after it.
    spacing : float
        Time from one of them to the next, ms.
    """

    tr: float
    te: float
    ti: float
    flip: float = 90.0
    pulses: int = 0
    spacing: float = 0.0


TISSUES = {
    "csf": Tissue(4000, 1500, 1.00),
    "gm": Tissue(1330, 95, 0.82),
    "wm": Tissue(830, 75, 0.70),
    "lesion": Tissue(1350, 160, 0.85),
    "fat": Tissue(370, 110, 0.80),
    "muscle": Tissue(1400, 40, 0.75),
    "bone": Tissue(500, 2, 0.10),
}

SEQUENCES = {
    "T1w": Sequence(tr=2300, te=3, ti=900),
    "T2w": Sequence(tr=5000, te=100, ti=0),
    "FLAIR": Sequence(tr=9000, te=120, ti=2500),
}

SCANNER_UNITS = 1000.0  # integer-like intensities, as scanners give them

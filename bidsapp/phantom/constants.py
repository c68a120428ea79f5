"""The constants of the simulation, fixed before anything was measured on it.

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
    """Repetition, echo and inversion time (ms); no inversion where ``ti`` is 0."""

    tr: float
    te: float
    ti: float


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

TISSUE_SPREAD = 0.10  # uniform, of each constant of each tissue, in each participant
BIAS_RANGE = (0.20, 0.40)  # peak of the field inside the brain, in each image
SNR_RANGE = (15.0, 40.0)  # white matter's signal over the noise's σ
SLICE_RANGE_MM = (3.0, 5.0)  # slice thickness of everything but the T1w
MOTION_DEG = 6.0  # of each axis, between contrasts
MOTION_MM = 6.0
HEAD_SCALE = (0.89, 0.97)  # of each axis; the template is larger than most heads
HEAD_TILT_DEG = 8.0
WARP_MM = 3.0  # standard deviation of the deformation
WARP_SMOOTHNESS_MM = 18.0
LESIONS = (4, 16)  # number, uniform
LESION_RADIUS_MM = (1.5, 6.0)
SCANNER_UNITS = 1000.0  # integer-like intensities, as scanners give them

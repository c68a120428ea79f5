"""Signal equations."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from bidsapp.phantom.constants import SEQUENCES, TISSUE_SPREAD, TISSUES, Sequence, Tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


def signal(tissue: Tissue, sequence: Sequence) -> float:
    """Return the magnitude of a spin's signal, relative to water's magnetization.

    Saturation recovery where there is no inversion, else the steady state of an inversion recovery; echo decay
    by T2 (Brown et al., Magnetic Resonance Imaging, 2014, doi:10.1002/9781118633953).
    """
    recovered = math.exp(-sequence.tr / tissue.t1)
    if sequence.ti:
        magnetization = (1 - 2 * math.exp(-sequence.ti / tissue.t1) + recovered) / (1 + recovered)
    else:
        magnetization = 1 - recovered
    return tissue.pd * abs(magnetization) * math.exp(-sequence.te / tissue.t2)


def draw_tissues(random: np.random.Generator) -> dict[str, Tissue]:
    """Draw a participant's tissues: every constant within ±10 % of its mean, water's density excepted."""
    return {
        name: dataclasses.replace(
            tissue,
            t1=tissue.t1 * random.uniform(1 - TISSUE_SPREAD, 1 + TISSUE_SPREAD),
            t2=tissue.t2 * random.uniform(1 - TISSUE_SPREAD, 1 + TISSUE_SPREAD),
            pd=min(1.0, tissue.pd * random.uniform(1 - TISSUE_SPREAD, 1 + TISSUE_SPREAD)),
        )
        for name, tissue in TISSUES.items()
    }


def signals(tissues: Mapping[str, Tissue], contrast: str) -> dict[str, float]:
    """Return the signal of every tissue in a contrast."""
    return {name: signal(tissue, SEQUENCES[contrast]) for name, tissue in tissues.items()}

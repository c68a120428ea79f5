"""Signal equations."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from bidsapp.phantom.constants import TISSUES, Sequence, Tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

TISSUE_SPREAD = 0.10  # uniform, of each constant of each tissue, in each participant


def signal(tissue: Tissue, sequence: Sequence) -> float:
    """Return the magnitude of a spin's signal, relative to water's magnetization; echoes decay by T2.

    Saturation recovery, or with an inversion the steady state of its recovery; with smaller flip angles spoiled
    gradient echoes (Brown et al., Magnetic Resonance Imaging, 2014, doi:10.1002/9781118633953), with an inversion
    those of an MP-RAGE (Wang et al. 2014, doi:10.1371/journal.pone.0096899).
    """
    recovered = math.exp(-sequence.tr / tissue.t1)
    if sequence.pulses:
        magnetization = _middle_of_train(tissue.t1, sequence)
    elif sequence.ti:
        magnetization = (1 - 2 * math.exp(-sequence.ti / tissue.t1) + recovered) / (1 + recovered)
    elif sequence.flip < 90:
        angle = math.radians(sequence.flip)
        magnetization = math.sin(angle) * (1 - recovered) / (1 - math.cos(angle) * recovered)
    else:
        magnetization = 1 - recovered
    return tissue.pd * abs(magnetization) * math.exp(-sequence.te / tissue.t2)


def _middle_of_train(t1: float, sequence: Sequence) -> float:
    """Return the transverse magnetization of the echo in the middle of an MP-RAGE's train, in its steady state."""
    angle = math.radians(sequence.flip)
    grown = 1 - math.exp(-sequence.spacing / t1)
    kept = math.cos(angle) * (1 - grown)  # of the longitudinal magnetization, from a pulse to the next
    level = grown / (1 - kept)  # where the train would end
    first = sequence.ti - sequence.pulses // 2 * sequence.spacing
    rest = sequence.tr - first - sequence.pulses * sequence.spacing

    def at(pulse: int, inverted: float) -> float:
        start = 1 - (1 + inverted) * math.exp(-first / t1)
        return level + (start - level) * kept**pulse

    def cycle(inverted: float) -> float:
        return 1 - (1 - at(sequence.pulses, inverted)) * math.exp(-rest / t1)

    steady = cycle(0) / (1 - cycle(1) + cycle(0))  # a cycle is linear in the magnetization that was inverted
    return math.sin(angle) * at(sequence.pulses // 2, steady)


def draw_tissues(
    random: np.random.Generator, tissues: Mapping[str, Tissue] = TISSUES, spread: float = TISSUE_SPREAD
) -> dict[str, Tissue]:
    """Draw a participant's tissues: every constant within ±10 % of its mean, water's density excepted."""
    return {
        name: dataclasses.replace(
            tissue,
            t1=tissue.t1 * random.uniform(1 - spread, 1 + spread),
            t2=tissue.t2 * random.uniform(1 - spread, 1 + spread),
            pd=min(1.0, tissue.pd * random.uniform(1 - spread, 1 + spread)),
        )
        for name, tissue in tissues.items()
    }


def signals(tissues: Mapping[str, Tissue], sequence: Sequence) -> dict[str, float]:
    """Return the signal of every tissue in a sequence."""
    return {name: signal(tissue, sequence) for name, tissue in tissues.items()}

"""The scanner of a randomized participant: field strength, tissues in it, and sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp.phantom.constants import SEQUENCES, TISSUES, Sequence, Tissue
from bidsapp.phantom.signal import draw_tissues, signals
from bidsapp.phantom.variation import Span, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

# T1, ms, of cortex, white matter, and putamen and caudate nucleus: Wright et al. 2008,
# doi:10.1007/s10334-008-0104-8. T2 hardly depends on the field (Stanisz et al. 2005, doi:10.1002/mrm.20605); that
# of the nuclei, which hold iron, lies between white matter's and cortex's (Georgiades et al. 2001, AJNR 22:1732).
T1_BY_FIELD = {1.5: (1200, 650, 1100), 3.0: (1600, 840, 1360)}
DEEP_GREY = Tissue(1360, 82, 0.82)
SPREAD = 0.15  # of each constant: more than reports of one field strength differ by
LESION_T2: Span = (110, 220)
LESION_T1_MAX = 2000  # from white matter's T1 on
LESION_PD: Span = (0.75, 0.95)


@dataclass(frozen=True)
class Scanner:
    """What the contrast of a participant's images comes from.

    Attributes
    ----------
    field : float
        Field strength, T.
    tissues : mapping of str to Tissue
        By name.
    sequences : mapping of str to Sequence
        By contrast.
    """

    field: float
    tissues: Mapping[str, Tissue]
    sequences: Mapping[str, Sequence]

    def strength(self, contrast: str) -> dict[str, float]:
        """Return the signal of every tissue in a contrast."""
        return signals(self.tissues, self.sequences[contrast])


def standard_scanner(random: np.random.Generator) -> Scanner:
    """Return a scanner of 3 T with the standard sequences; only a participant's tissues differ."""
    return Scanner(3, draw_tissues(random), SEQUENCES)


def draw_scanner(random: np.random.Generator) -> Scanner:
    """Draw field strength, tissues and sequences anew until every contrast is one that its name stands for."""
    while True:
        field = float(random.choice(list(T1_BY_FIELD)))
        tissues = _tissues(field, random)
        scanner = Scanner(field, tissues, {name: make(random) for name, make in FAMILIES.items()})
        if all(RECOGNIZED[contrast](scanner.strength(contrast)) for contrast in FAMILIES):
            return scanner


def _tissues(field: float, random: np.random.Generator) -> dict[str, Tissue]:
    grey, white, deep = T1_BY_FIELD[field]
    means = {
        **TISSUES,
        "gm": Tissue(grey, TISSUES["gm"].t2, TISSUES["gm"].pd),
        "wm": Tissue(white, TISSUES["wm"].t2, TISSUES["wm"].pd),
        "deep": Tissue(deep, DEEP_GREY.t2, DEEP_GREY.pd),
    }
    tissues = draw_tissues(random, means, SPREAD)
    t1 = draw((tissues["wm"].t1, LESION_T1_MAX), random)
    tissues["lesion"] = Tissue(t1, draw(LESION_T2, random), draw(LESION_PD, random))
    return tissues


def _t1w(random: np.random.Generator) -> Sequence:
    """Draw an MP-RAGE, a spoiled gradient echo or a spin echo."""
    kind = random.integers(3)
    if kind == 0:
        return Sequence(
            tr=draw((2000, 2500), random),
            te=draw((2, 5), random),
            ti=draw((800, 1100), random),
            flip=draw((7, 12), random),
            pulses=int(random.integers(120, 170, endpoint=True)),
            spacing=draw((6, 9), random),
        )
    if kind == 1:
        return Sequence(tr=draw((8, 30), random), te=draw((2, 6), random), ti=0, flip=draw((15, 35), random))
    return Sequence(tr=draw((400, 700), random), te=draw((8, 20), random), ti=0)


def _t2w(random: np.random.Generator) -> Sequence:
    return Sequence(tr=draw((3000, 7000), random), te=draw((80, 120), random), ti=0)


def _flair(random: np.random.Generator) -> Sequence:
    """Draw an inversion that leaves little of fluid: its zero is at T1 · ln(2 / (1 + exp(−TR / T1)))."""
    tr, t1 = draw((5000, 11000), random), TISSUES["csf"].t1
    null = t1 * math.log(2 / (1 + math.exp(-tr / t1)))
    return Sequence(tr=tr, te=draw((80, 150), random), ti=null * draw((0.93, 1.05), random))


FAMILIES: dict[str, Callable[[np.random.Generator], Sequence]] = {"T1w": _t1w, "T2w": _t2w, "FLAIR": _flair}
RECOGNIZED: dict[str, Callable[[Mapping[str, float]], bool]] = {
    "T1w": lambda s: (
        s["csf"] < 0.75 * s["gm"] and s["gm"] < 0.96 * s["wm"] and s["csf"] < s["lesion"] < 1.02 * s["wm"]
    ),
    "T2w": lambda s: s["wm"] < s["gm"] < s["csf"],
    "FLAIR": lambda s: (
        s["csf"] < 0.6 * s["wm"] and 1.04 * s["wm"] < s["gm"] and s["deep"] < s["gm"] < 0.9 * s["lesion"]
    ),
}

"""Histograms of all visits seen so far, before and after normalization: the figure of the article."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bidsapp.reports.records import Curve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LABEL = "_desc-histogram_"
# More curves than these are a grey area, and make the page heavy.
MAX_OTHERS = 40
WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 12, 12, 8, 40


class Pane(NamedTuple):
    """One set of axes: points of the curves, the visit's own last, ticks and what they are."""

    own: str
    others: Sequence[str]
    ticks: Sequence[tuple[float, str]]
    label: str


def read_curves(derivatives: Path, visit: str) -> list[Curve]:
    """Return the histograms of a visit and of others, spread evenly over all that are there, sorted by visit.

    Other processes may be writing theirs: each file is whole or not there, and one that cannot be read is passed
    over.

    Parameters
    ----------
    derivatives : Path
        Output folder.
    visit : str
        Label of the visit.
    """
    files = sorted(derivatives.glob(f"sub-*/figures/*{LABEL}*.json"))
    contrasts: dict[str, list[Path]] = {}
    for file in files:
        if not file.name.startswith(f"{visit}{LABEL}"):
            contrasts.setdefault(file.stem.partition(LABEL)[2], []).append(file)
    # A few more than are drawn: some may be on another scale. All of thousands would be read for every visit.
    shown = {file for found in contrasts.values() for file in found[:: -(-len(found) // (2 * MAX_OTHERS))]}
    return list(_readable([file for file in files if file in shown or file.name.startswith(f"{visit}{LABEL}")]))


def _readable(files: Sequence[Path]) -> Iterator[Curve]:
    for file in files:
        visit, _, contrast = file.stem.partition(LABEL)
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            numbers = [float(said[name]) for name in ("Offset", "Scale", "Low", "High")]
            density = tuple(float(share) for share in said["Density"])
            if len(density) > 1 and numbers[1] > 0 and all(map(math.isfinite, (*numbers, *density))):
                yield Curve(visit, contrast, str(said["Method"]), *numbers, density)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def histogram_panes(curves: Sequence[Curve], visit: str, contrast: str) -> dict[str, object] | None:
    """Return what the page draws of one contrast; ``None`` where this visit has no histogram.

    Parameters
    ----------
    curves : sequence of Curve
        Of all visits seen so far.
    visit, contrast : str
        Which is drawn strongly. Others are those of the same contrast and intensity scale.
    """
    mine = [curve for curve in curves if (curve.visit, curve.contrast) == (visit, contrast)]
    if not mine:
        return None
    own = mine[0]
    others = [
        curve
        for curve in curves
        if curve.contrast == contrast and curve.method == own.method and curve.visit != visit
    ]
    step = max(1, math.ceil(len(others) / MAX_OTHERS))
    shown = others[::step]
    return {
        "contrast": contrast,
        "method": own.method,
        "others": len(others),
        "shown": len(shown),
        "panes": [
            _pane([own, *shown], normalized=normalized, label=label)
            for normalized, label in ((False, "before, units of the images"), (True, f"after ({own.method})"))
        ],
    }


def _pane(curves: Sequence[Curve], *, normalized: bool, label: str) -> Pane:
    ends = [_ends(curve, normalized) for curve in curves]
    low, high = min(start for start, _, _ in ends), max(end for _, end, _ in ends)
    # The share of voxels per unit becomes that per normalized unit.
    top = max(max(curve.density) * per for curve, (_, _, per) in zip(curves, ends, strict=True)) or 1.0
    lines = [_points(curve, end, (low, high), top) for curve, end in zip(curves, ends, strict=True)]
    ticks = [(round(_across(value, low, high), 1), f"{value:g}") for value in nice_ticks(low, high)]
    return Pane(lines[0], lines[1:], ticks, label)


def _ends(curve: Curve, normalized: bool) -> tuple[float, float, float]:
    """Return where a curve starts and ends, and by what its densities are multiplied."""
    if not normalized:
        return curve.low, curve.high, 1.0
    return (curve.low - curve.offset) / curve.scale, (curve.high - curve.offset) / curve.scale, curve.scale


def _points(curve: Curve, ends: tuple[float, float, float], axis: tuple[float, float], top: float) -> str:
    start, end, per = ends
    width = (end - start) / len(curve.density)
    return " ".join(
        f"{_across(start + width * (place + 0.5), *axis):.1f},"
        f"{HEIGHT - BOTTOM - share * per / top * (HEIGHT - BOTTOM - TOP):.1f}"
        for place, share in enumerate(curve.density)
    )


def _across(value: float, low: float, high: float) -> float:
    return LEFT + (value - low) / ((high - low) or 1.0) * (WIDTH - LEFT - RIGHT)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return up to about `count` round numbers from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]

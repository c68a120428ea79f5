"""The quality of a cohort's scans, side by side: who has what, the table of numbers, which of them stand out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from statistics import fmean, median
from typing import TYPE_CHECKING

from bidsapp.reports.numbers import MEASURES, Measure
from bidsapp.reports.pages import MISSING, show
from bidsapp.reports.records import Drawing
from bidsapp.reports.strips import Strip, strips

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Iglewicz and Hoaglin (1993) mark a value whose robust z is beyond.
OUTLYING = 3.5
# Of fewer, no spread is worth its name.
FEWEST = 6
# What makes a spread of normally distributed values a standard deviation: of a median and of a mean deviation.
OF_MEDIAN, OF_MEAN = 1.4826, 1.2533
OTHER_COLUMNS = frozenset({"visit", "contrast", "filename", "flags", "verdict", "reasons"})
EXAMPLES = 4  # visits that are named of each pattern

ACQUIRED, FLAGGED, SYNTHESIZED, LACKING = "acquired", "flagged", "synthesized", "none"


@dataclass(frozen=True)
class Scanned:
    """A row of a visit's table.

    Attributes
    ----------
    visit, contrast, filename, flags : str
        As in the table; `flags` is empty where there are none.
    synthetic : bool
        It is a synthesized image, which has no quality numbers.
    values : mapping of str to float
        Column → number, of those that it has.
    """

    visit: str
    contrast: str
    filename: str
    flags: str
    synthetic: bool
    values: Mapping[str, float]


def read_rows(rows: Sequence[Mapping[str, str]]) -> list[Scanned]:
    """Return the rows of all visits' tables with their numbers as numbers."""
    return [
        Scanned(
            row["visit"],
            row.get("contrast") or "",
            row.get("filename") or "",
            "" if row.get("flags") in {None, "", MISSING} else row["flags"],
            row.get("verdict") not in {None, "", MISSING},
            {name: number for name, cell in row.items() if (number := _number(name, cell)) is not None},
        )
        for row in rows
    ]


def _number(column: str, cell: str | None) -> float | None:
    if column in OTHER_COLUMNS or cell is None:
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def robust_z(values: Sequence[float], finest: float = 0.0) -> list[float]:
    """Return how far each value is from the median, in robust standard deviations.

    Parameters
    ----------
    values : sequence of float
        Of one measure and contrast.
    finest : float
        The least difference that is shown; the standard deviation is not taken to be less.

    Returns
    -------
    list of float
        By the median absolute deviation; by the mean one where more than half of the values are the same.
    """
    centre = median(values)
    deviations = [abs(value - centre) for value in values]
    spread = OF_MEDIAN * median(deviations) or OF_MEAN * fmean(deviations)
    spread = max(spread, finest)
    return [(value - centre) / spread if spread else 0.0 for value in values]


def outliers(scans: Sequence[Scanned]) -> dict[tuple[str, str], float]:
    """Return (file name, column) → robust z of the values that stand out among those of their contrast."""
    groups: dict[tuple[str, str], list[Scanned]] = {}
    for scan in scans:
        for column in scan.values:
            groups.setdefault((scan.contrast, column), []).append(scan)
    found = {}
    for (_, column), group in groups.items():
        if len(group) < FEWEST:
            continue
        digits = MEASURES.get(column, Measure(column)).digits
        finest = 0.0 if digits is None else 10.0**-digits
        z_scores = robust_z([scan.values[column] for scan in group], finest)
        found |= {(s.filename, column): z for s, z in zip(group, z_scores, strict=True) if abs(z) > OUTLYING}
    return found


def columns_of(scans: Sequence[Scanned]) -> list[tuple[str, Measure]]:
    """Return the measures that some scan has, in the order of the visits' pages."""
    present = dict.fromkeys(name for scan in scans for name in scan.values)
    ordered = [*(name for name in MEASURES if name in present), *(n for n in present if n not in MEASURES)]
    return [(name, MEASURES.get(name, Measure(name))) for name in ordered]


def quality_table(scans: Sequence[Scanned], pages: Mapping[str, str]) -> dict[str, object]:
    """Return the table of quality numbers: a row for each acquired scan.

    Parameters
    ----------
    scans : sequence of Scanned
        Synthesized images are passed over.
    pages : mapping of str to str
        Visit → its page, of those that have one.

    Returns
    -------
    dict
        ``columns``, pairs of heading and note; ``rows``; ``contrasts``; ``marked``, how many values stand out, and
        ``flagged``, how many scans are flagged.
    """
    scans = [scan for scan in scans if not scan.synthetic]
    columns, far = columns_of(scans), outliers(scans)
    rows = []
    for scan in scans:
        cells = [
            (show(scan.values.get(name), measure.digits), _side(far.get((scan.filename, name))))
            for name, measure in columns
        ]
        rows.append(
            {
                "visit": scan.visit,
                "page": pages.get(scan.visit),
                "contrast": scan.contrast,
                "run": _rest(scan.filename),
                "flags": scan.flags,
                "cells": cells,
                "marked": sum(bool(side) for _, side in cells),
            }
        )
    return {
        "columns": [(measure.label, measure.note) for _, measure in columns],
        "rows": rows,
        "contrasts": sorted({scan.contrast for scan in scans}),
        "marked": len(far),
        "flagged": sum(bool(scan.flags) for scan in scans),
    }


def _side(z: float | None) -> tuple[str, str] | None:
    """Return whether an outlier is high or low, and its z."""
    return z and ("high" if z > 0 else "low", f"{z:.1f}".replace("-", "−"))


def _rest(filename: str) -> str:
    """Return the entities of an acquired scan that tell it from another of its contrast: ``run-1``."""
    parts = PurePosixPath(filename).name.split("_")[1:-1]
    return " ".join(part for part in parts if not part.startswith(("ses-", "space-", "desc-")))


def distributions(scans: Sequence[Scanned]) -> list[Drawing]:
    """Return a drawing of each measure: a line for each contrast."""
    scans = [scan for scan in scans if not scan.synthetic]
    far = outliers(scans)
    contrasts = list(dict.fromkeys(scan.contrast for scan in scans))
    drawn: list[Drawing] = []
    for name, measure in columns_of(scans):
        rows = [
            _strip([s for s in scans if s.contrast == c and name in s.values], c, name, far) for c in contrasts
        ]
        drawn.append(Drawing(measure.label, strips(rows, measure.label), measure.note))
    return drawn


def _strip(scans: Sequence[Scanned], contrast: str, column: str, far: Mapping[tuple[str, str], float]) -> Strip:
    names = {scan.filename: f"{scan.visit} {_rest(scan.filename)}".strip() for scan in scans}
    marked = frozenset(names[scan.filename] for scan in scans if (scan.filename, column) in far)
    return Strip(contrast, {names[scan.filename]: scan.values[column] for scan in scans}, marked)


def who_has_what(scans: Sequence[Scanned], target: str | None, pages: Mapping[str, str]) -> dict[str, object]:
    """Return which contrasts every visit has, and how often each pattern occurs.

    Parameters
    ----------
    scans : sequence of Scanned
        All rows.
    target : str or None
        The contrast that was predicted comes last.
    pages : mapping of str to str
        Visit → its page.

    Returns
    -------
    dict
        ``contrasts``, ``visits`` with the state of each contrast, and ``patterns``, the most frequent first.
    """
    counts = Counter(scan.contrast for scan in scans)
    contrasts = sorted(counts, key=lambda contrast: (contrast == target, -counts[contrast], contrast))
    states: dict[str, dict[str, str]] = {}
    # A flagged scan counts where there is no better one; a synthesized image only where there is no scan at all.
    rank = {ACQUIRED: 0, FLAGGED: 1, SYNTHESIZED: 2, LACKING: 3}
    for scan in scans:
        state = SYNTHESIZED if scan.synthetic else FLAGGED if scan.flags else ACQUIRED
        of_visit = states.setdefault(scan.visit, dict.fromkeys(contrasts, LACKING))
        of_visit[scan.contrast] = min(of_visit[scan.contrast], state, key=rank.__getitem__)
    patterns: dict[tuple[str, ...], list[str]] = {}
    for visit, of_visit in states.items():
        patterns.setdefault(tuple(of_visit.values()), []).append(visit)
    return {
        "contrasts": contrasts,
        "visits": [
            {"visit": visit, "page": pages.get(visit), "states": list(of_visit.values())}
            for visit, of_visit in sorted(states.items())
        ],
        "patterns": [
            {
                "states": list(pattern),
                "count": len(visits),
                "share": round(100 * len(visits) / len(states), 1),
                "examples": ", ".join(sorted(visits)[:EXAMPLES]) + (" …" if len(visits) > EXAMPLES else ""),
            }
            for pattern, visits in sorted(patterns.items(), key=lambda item: (-len(item[1]), item[0]))
        ],
    }

"""How a number is spread over a cohort: one line for each contrast or model, on one axis.

Of few people every one is a dot; of many there are bars, and dots for those beyond what is usual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from bidsapp.reports.axes import LETTER, WIDTH, Axis, around, drawing, element, path, pixel, scale_below, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_DOTS = 80
MOST_MARKED = 40  # of an image of bars; the table marks them all
BINS = 40
ROW = 34.0
DOT = 3.0
EDGE = 8.0  # pixels kept free at the right


@dataclass(frozen=True)
class Strip:
    """A line of dots or bars.

    Attributes
    ----------
    label : str
        What it is of.
    values : mapping of str to float
        Name of a dot, such as a visit's, to where it lies.
    marked : frozenset of str
        Names of the dots that stand out.
    mean : tuple of (float, float or None, float or None), optional
        A mean and the ends of its interval, drawn above the dots.
    """

    label: str
    values: Mapping[str, float]
    marked: frozenset[str] = frozenset()
    mean: tuple[float, float | None, float | None] | None = None


def strips(rows: Sequence[Strip], said: str, *, limits: Sequence[float] = ()) -> Markup:
    """Draw lines of dots or bars on one axis.

    The axis holds what is usual: what lies more than three times the spread of its line's middle half beyond that
    half is drawn as a triangle at the axis's end, lest one value flatten all others.

    Parameters
    ----------
    rows : sequence of Strip
        From top to bottom; without values, none.
    said : str
        The drawing in words.
    limits : sequence of float
        Values that are drawn as upright lines.

    Returns
    -------
    Markup
        An SVG; empty where no line has a value.
    """
    rows = [row for row in rows if row.values]
    if not rows:
        return Markup("")
    left = 6 + LETTER * max(len(row.label) for row in rows)
    left = min(left, 0.55 * WIDTH)
    bottom = ROW * len(rows) + 4
    usual = [value for row in rows for value in _usual(list(row.values.values()))]
    axis = around([*usual, *limits], left + DOT, WIDTH - EDGE)
    lines = [path([(axis.place(at), 2.0), (axis.place(at), bottom)], class_="limit") for at in limits]
    drawn = [_row(row, axis, 4 + ROW * n) for n, row in enumerate(rows)]
    wanted = 5 if WIDTH - left > 240 else 4
    return drawing([scale_below(axis, bottom, wanted=wanted, top=2.0), *lines, *drawn], bottom + 18, said)


def _usual(values: list[float]) -> list[float]:
    """Return the values that an axis has to hold."""
    ranked = sorted(values)
    low, high = ranked[len(ranked) // 4], ranked[min(3 * len(ranked) // 4, len(ranked) - 1)]
    room = 3 * (high - low)
    if room == 0:
        return ranked
    return [value for value in ranked if low - room <= value <= high + room]


def _row(row: Strip, axis: Axis, top: float) -> Markup:
    middle = top + ROW / 2
    parts = [words(row.label, 0.0, middle + 4, "start")]
    values = row.values
    if len(values) > MOST_DOTS:
        parts.append(_bars(list(values.values()), axis, top))
        centre = median(values.values())
        marked = sorted(row.marked & values.keys(), key=lambda name: -abs(values[name] - centre))[:MOST_MARKED]
        values = {name: values[name] for name in marked}
        middle = top + ROW - 6
    parts += _dots(values, row.marked, axis, middle)
    if row.mean is not None:
        parts += _mean(row.mean, axis, top)
    else:
        x = axis.place(median(row.values.values()))
        parts.append(path([(x, top + 3), (x, top + ROW - 3)], class_="median"))
    return Markup("").join(parts)


def _bars(values: list[float], axis: Axis, top: float) -> Markup:
    """Draw a histogram as one outline, as high as its line."""
    counts = [0] * BINS
    wide = (axis.end - axis.start) / BINS
    for value in values:
        counts[min(int((axis.place(value) - axis.start) / wide), BINS - 1)] += 1
    floor, unit = top + ROW - 4, (ROW - 8) / max(counts)
    outline = "".join(f"V{pixel(floor - count * unit)}h{pixel(wide)}" for count in counts)
    return element("path", d=f"M{pixel(axis.start)} {pixel(floor)}{outline}V{pixel(floor)}Z", class_="bars")


def _dots(values: Mapping[str, float], marked: frozenset[str], axis: Axis, middle: float) -> list[Markup]:
    """Draw dots, moved up and down where they would hide each other."""
    taken: dict[int, int] = {}
    drawn = []
    for name in sorted(values, key=lambda name: (name in marked, values[name])):  # marked ones lie on top
        x = axis.place(values[name])
        column = int(x / (2 * DOT))
        place = taken[column] = taken.get(column, -1) + 1
        y = middle + min(math.ceil(place / 2) * 4.0, ROW / 2 - DOT) * (-1) ** place
        title = element("title", escape(f"{name}: {values[name]:.5g}"))
        shape = "out" if name in marked else "dot"
        if axis.beyond(values[name]):
            drawn.append(element("path", title, d=_triangle(x, y, outward=values[name] > axis.high), class_=shape))
        else:
            drawn.append(element("circle", title, cx=x, cy=y, r=4.0 if name in marked else DOT, class_=shape))
    return drawn


def _triangle(x: float, y: float, *, outward: bool) -> str:
    ahead = 5 if outward else -5
    return f"M{pixel(x + ahead)} {pixel(y)}l{-2 * ahead} -5v10Z"


def _mean(mean: tuple[float, float | None, float | None], axis: Axis, top: float) -> list[Markup]:
    """Draw a mean as a lozenge, and its interval as a line through it."""
    value, low, high = mean
    y, x = top + ROW / 2, axis.place(value)
    parts = []
    if low is not None and high is not None:
        ends = axis.place(low), axis.place(high)
        parts.append(path([(ends[0], y), (ends[1], y)], class_="interval"))
        parts += [path([(end, y - 6), (end, y + 6)], class_="interval") for end in ends]
    parts.append(element("path", d=f"M{pixel(x)} {pixel(y - 6)}l5 6l-5 6l-5 -6Z", class_="mean"))
    return parts

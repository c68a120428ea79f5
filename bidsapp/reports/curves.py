"""Lines over an axis: losses, range tests, coverage, histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from bidsapp.reports.axes import WIDTH, Axis, drawing, element, path, scale_below, scale_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

HEIGHT = 210.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, WIDTH - 10.0, 22.0, HEIGHT - 36.0
MOST_POINTS = 240  # as many as there are pixels; more would only cost bytes
COLOURS = 6


@dataclass(frozen=True)
class Curve:
    """A line.

    Attributes
    ----------
    name : str
        Shown where a pointer rests on it.
    points : sequence of (float, float)
        Of numbers; two at least, or nothing is drawn.
    colour : int
        Which of the page's six; more begin again.
    look : str
        ``bold``, ``thin`` or ``dashed``.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    look: str = "bold"


def chart(
    curves: Sequence[Curve],
    across: str,
    up: str,
    said: str,
    *,
    limits: tuple[float, float, float, float] | None = None,
    logarithmic: bool = False,
    upright: float | None = None,
) -> Markup:
    """Draw lines.

    Parameters
    ----------
    curves : sequence of Curve
        The first is drawn first.
    across, up : str
        What the axes are.
    said : str
        The drawing in words.
    limits : tuple of float, optional
        Left, right, lower and upper end of the axes; by default they hold every line, the upright one 0, too.
    logarithmic : bool
        Whether the axis across is.
    upright : float, optional
        Where to draw a line from bottom to top.

    Returns
    -------
    Markup
        An SVG; empty where there is no line.
    """
    curves = [curve for curve in curves if len(curve.points) > 1]
    if not curves:
        return Markup("")
    if limits is None:
        xs = [x for curve in curves for x, _ in curve.points]
        ys = [y for curve in curves for _, y in curve.points]
        top = max(ys)
        limits = (min(xs), max(xs), min(0.0, *ys), 1.04 * top if top > 0 else 1.0)
    horizontal = Axis(limits[0], max(limits[1], limits[0] + 1e-9), LEFT, RIGHT, logarithmic)
    vertical = Axis(limits[2], limits[3], BOTTOM, TOP)
    parts = [
        scale_beside(vertical, LEFT, up, right=RIGHT),
        scale_below(horizontal, BOTTOM, across, top=TOP, wanted=6),
    ]
    if upright is not None:
        x = horizontal.place(upright)
        parts.append(path([(x, TOP), (x, BOTTOM)], class_="limit"))
    parts += [_line(curve, horizontal, vertical) for curve in curves]
    return drawing(parts, HEIGHT, said)


def _line(curve: Curve, across: Axis, up: Axis) -> Markup:
    points = [(across.place(x), up.place(y)) for x, y in thinned(curve.points)]
    drawn = path(points, class_=f"line {curve.look} c{curve.colour % COLOURS}")
    return element("g", element("title", curve.name) + drawn)


def thinned(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """Return at most so many of the points, evenly chosen, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(n * (len(points) - 1) / (most - 1))] for n in range(most)]

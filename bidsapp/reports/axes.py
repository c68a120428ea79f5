"""Axes of the small drawings that stand in a page as SVG: where a value lies, and round numbers beside it.

They are drawn by hand and not by matplotlib because a page inlines dozens of them: one is a few kB, and takes its
colours and letters from the page, light or dark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH = 340.0  # of a drawing, in pixels: as wide as a telephone's page, so that letters keep their size there
LETTER = 6.2  # mean width of a letter of 11 pixels


@dataclass(frozen=True)
class Axis:
    """From values to pixels.

    Attributes
    ----------
    low, high : float
        Values at the ends; `low` is the less.
    start, end : float
        Pixels there.
    logarithmic : bool
        Equal factors are equally wide; both ends are positive then.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a value; what lies beyond an end is put there."""
        share = (self._scaled(value) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def beyond(self, value: float) -> bool:
        """Return whether a value lies outside."""
        return not self.low <= value <= self.high

    def ticks(self, wanted: int = 4) -> list[float]:
        """Return round values between the ends, about as many as wanted."""
        if self.logarithmic:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers]
        step = _round_step((self.high - self.low) / max(wanted, 1))
        first = math.ceil(self.low / step - 1e-9)
        return [round(n * step, 12) + 0.0 for n in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.logarithmic else value


def _round_step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not less than a number."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def around(values: Iterable[float], start: float, end: float, *, margin: float = 0.04) -> Axis:
    """Return an axis that holds all of the values, with some room beside them."""
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low) * margin or abs(low) * 0.1 or 1.0
    return Axis(low - room, high + room, start, end)


def number(value: float) -> str:
    """Write a value of an axis as short as it can be."""
    small = value != 0 and not 1e-4 <= abs(value) < 1e6
    text = f"{value:.0e}" if small else f"{value:.6g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def pixel(value: float) -> str:
    """Write a coordinate with a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def element(name: str, inner: Markup | str = "", **attributes: object) -> Markup:
    """Return an element of an SVG; ``class_`` stands for ``class``, and underscores for hyphens."""
    said = Markup("").join(
        Markup(' {}="{}"').format(
            key.rstrip("_").replace("_", "-"), pixel(value) if isinstance(value, float) else value
        )
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, said, inner)


def path(points: Sequence[tuple[float, float]], **attributes: object) -> Markup:
    """Return a line through points."""
    return element("path", d="M" + "L".join(f"{pixel(x)} {pixel(y)}" for x, y in points), **attributes)


def drawing(parts: Iterable[Markup], height: float, said: str) -> Markup:
    """Return an SVG; `said` is what it is to those who cannot see it."""
    inner = Markup("").join([element("title", escape(said)), *parts])
    return element("svg", inner, class_="chart", viewBox=f"0 0 {pixel(WIDTH)} {pixel(height)}", role="img")


def words(text: str, x: float, y: float, anchor: str = "middle", **attributes: object) -> Markup:
    """Return a line of text."""
    return element("text", escape(text), x=x, y=y, text_anchor=anchor, **attributes)


def scale_below(axis: Axis, y: float, label: str = "", *, top: float | None = None, wanted: int = 4) -> Markup:
    """Return an axis's line at a height, its numbers and label below it and, up to `top`, lines above them."""
    parts = [path([(axis.start, y), (axis.end, y)], class_="axis")]
    for tick in axis.ticks(wanted):
        x = axis.place(tick)
        parts.append(path([(x, y + 3), (x, y if top is None else top)], class_="grid"))
        parts.append(words(number(tick), x, y + 14))
    if label:
        parts.append(words(label, (axis.start + axis.end) / 2, y + 29))
    return Markup("").join(parts)


def scale_beside(axis: Axis, x: float, label: str, *, right: float) -> Markup:
    """Return an upright axis's lines across to `right`, its numbers at the left, its label above."""
    parts = []
    for tick in axis.ticks():
        y = axis.place(tick)
        parts.append(path([(x - 3, y), (right, y)], class_="grid"))
        parts.append(words(number(tick), x - 5, y + 4, "end"))
    parts.append(words(label, 2.0, 12.0, "start"))
    return Markup("").join(parts)

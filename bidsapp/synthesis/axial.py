"""The axial range, percentages of the brain's height between which is learned and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMN = "axial_range"


def cell(axial: tuple[float, float] | None) -> str:
    """Return a range as the option and tables write it, ``20.0,80.0``; ``n/a`` of the whole brain."""
    return "n/a" if axial is None else ",".join(map(str, axial))


def range_of(row: Mapping[str, str]) -> tuple[float, float] | None:
    """Return the range that a row of a table names, ``None`` where it names none."""
    said = row.get(COLUMN, "n/a")
    if said == "n/a":
        return None
    low, high = map(float, said.split(","))
    return low, high


def within(axial: tuple[float, float] | None) -> str:
    """Return what a range adds to a sentence on a region."""
    return f", between {axial[0]:g} and {axial[1]:g} % of its height" if axial else ""

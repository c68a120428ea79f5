"""Which sources may be there together where some may be missing; light, for plans are made early."""

from __future__ import annotations

from itertools import product

# A step is never more than so many times as large: of more than three sources some cases wait for the next one.
LARGEST = 8


def cases(sources: int) -> list[tuple[bool, ...]]:
    """Return which of some sources may be there together: any, but never none; the last is all of them."""
    return [case for case in product((False, True), repeat=sources) if any(case)]


def times_larger(sources: int) -> int:
    """Return how many times as many patches a step has where so many sources may be missing."""
    return min(len(cases(sources)), LARGEST)

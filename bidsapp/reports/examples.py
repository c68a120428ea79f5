"""Which of many predictions are shown: nobody looks at a thousand pictures, and no page should hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Up to so many, all are shown.
MOST = 12
EACH = 3


def shown(errors: Mapping[str, float], doubts: Mapping[str, float]) -> dict[str, str]:
    """Return which predictions to show, and as what.

    Parameters
    ----------
    errors : mapping of str to float
        Visit → error, of those whose target was acquired.
    doubts : mapping of str to float
        Visit → highest score of its verdict, 0 of one that was not judged; of those whose target was not.

    Returns
    -------
    dict of str to str
        Visit → why it is shown, empty where all are: the largest, middle and least errors, and the most doubtful.
    """
    if len(errors) + len(doubts) <= MOST:
        return dict.fromkeys((*errors, *doubts), "")
    ranked = sorted(errors, key=lambda visit: (errors[visit], visit))
    # Of few, the largest go first: none of them is to be shown as one of the least.
    largest, rest = ranked[-EACH:][::-1], ranked[:-EACH]
    least, rest = rest[:EACH], rest[EACH:]
    middle = max(len(rest) // 2 - EACH // 2, 0)
    chosen = dict.fromkeys(largest, "one of the largest errors")
    chosen |= dict.fromkeys(rest[middle : middle + EACH], "an error in the middle")
    chosen |= dict.fromkeys(least, "one of the least errors")
    doubtful = sorted(doubts, key=lambda visit: (-doubts[visit], visit))
    return chosen | dict.fromkeys(doubtful[:EACH], "one of the most doubtful without an acquired image")

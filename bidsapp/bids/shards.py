"""Which participants one of several jobs works on: always the same ones, whatever is done already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_shard(word: str) -> tuple[int, int]:
    """Read ``3/20``, the third of twenty.

    Parameters
    ----------
    word : str
        Number and count; the first is 1.

    Returns
    -------
    tuple of int
        Number and count.

    Raises
    ------
    ValueError
        The word has another form, or the number is not among the count.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", word)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"{word!r} is no part of a whole; write 1/20 to 20/20")
    return int(match[1]), int(match[2])


def part_of(participants: Sequence[str], word: str | None) -> list[str]:
    """Return the participants of a shard.

    Shards of one count hold everybody once, and none of them two participants more than another. Participants are
    dealt in the order of their labels, so that a site or a phase of a study, whose labels follow each other, is
    spread over all jobs.

    Parameters
    ----------
    participants : sequence of str
        All that the whole run works on, in any order.
    word : str or None
        The shard, as `read_shard` reads it; ``None`` for everybody.

    Returns
    -------
    list of str
        Sorted where there is a shard; empty where there are more shards than participants.
    """
    if word is None:
        return list(participants)
    number, count = read_shard(word)
    return sorted(set(participants))[number - 1 :: count]

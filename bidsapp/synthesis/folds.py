"""Folds: who is held out of which training, always whole participants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import NoInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.records import Pair

FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """One training: its number, and the participants it holds out."""

    number: int
    held_out: frozenset[str]


def make_folds(pairs: Sequence[Pair], *, leave_one_out: bool, seed: int) -> tuple[Fold, ...]:
    """Split the participants that have the target into folds.

    Parameters
    ----------
    pairs : sequence of Pair
        Visits; those without a target do not count.
    leave_one_out : bool
        As many folds as participants; otherwise at most five.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    tuple of Fold
        Every participant is held out of exactly one.

    Raises
    ------
    NoInputError
        Fewer than two participants have source and target.
    """
    participants = sorted({pair.participant for pair in pairs if pair.target is not None})
    if len(participants) < 2:
        raise NoInputError(
            f"{len(participants)} participant(s) have both source and target; training needs two or more",
            "run the participant level on more of them, or apply a trained model with --model",
        )
    count = len(participants) if leave_one_out else min(FOLDS, len(participants))
    shuffled = np.random.default_rng(seed).permutation(participants)
    parts = [frozenset(map(str, part)) for part in np.array_split(shuffled, count)]
    return tuple(Fold(number, held_out) for number, held_out in enumerate(parts))

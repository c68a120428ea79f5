"""Folds: who is held out of which training, always whole participants."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import DataError, NoInputError
from bidsapp.text import read_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.records import Pair

log = logging.getLogger(__name__)

FOLDS = 5
PARTICIPANT_COLUMNS = ("participant", "participant_id")


@dataclass(frozen=True)
class Fold:
    """One training: its number, and the participants it holds out."""

    number: int
    held_out: frozenset[str]


def make_folds(
    pairs: Sequence[Pair], *, leave_one_out: bool, seed: int, strata: Mapping[str, str] | None = None
) -> tuple[Fold, ...]:
    """Split the participants that have the target into folds.

    Parameters
    ----------
    pairs : sequence of Pair
        Visits; those without a target do not count.
    leave_one_out : bool
        As many folds as participants; otherwise at most five.
    seed : int
        Seed of the shuffle.
    strata : mapping of str to str, or None
        Participant → value in which the folds shall be alike. Of more numbers than folds, what counts is the rank:
        each fold gets small and large ones.

    Returns
    -------
    tuple of Fold
        Every participant is held out of exactly one.

    Raises
    ------
    NoInputError
        Fewer than two participants have source and target.
    """
    participants = _learned_from(pairs)
    if len(participants) < 2:
        raise NoInputError(
            f"{len(participants)} participant(s) have both source and target; training needs two or more",
            "run the participant level on more of them, or apply a trained model with --model",
        )
    count = len(participants) if leave_one_out else min(FOLDS, len(participants))
    shuffled = np.random.default_rng(seed).permutation(participants)
    if strata is None:
        parts = [frozenset(map(str, part)) for part in np.array_split(shuffled, count)]
    else:
        # Equal values stand together, in the shuffled order, and are dealt out like cards.
        dealt = sorted(map(str, shuffled), key=lambda participant: _order(strata.get(participant, "n/a")))
        parts = [frozenset(dealt[number::count]) for number in range(count)]
    return tuple(Fold(number, held_out) for number, held_out in enumerate(parts))


def read_folds(path: Path, pairs: Sequence[Pair]) -> tuple[Fold, ...]:
    """Use the folds of a table again, for example to compare two networks on the same splits.

    Participants of the table that are not there now are named in a warning, and a fold that is left without any is
    dropped, so that numbers may move up.

    Parameters
    ----------
    path : Path
        Tab-separated; columns ``participant`` (or ``participant_id``) and ``fold``, others are ignored. The
        ``splits.tsv`` of a bundle is one.
    pairs : sequence of Pair
        Visits; those without a target do not count.

    Returns
    -------
    tuple of Fold
        Every participant with a target is held out of exactly one.

    Raises
    ------
    DataError
        The table lacks a column or a participant, has one in two folds, or leaves fewer than two folds.
    """
    fold_of = _read_table(path)
    participants = _learned_from(pairs)
    missing = [participant for participant in participants if participant not in fold_of]
    if missing:
        raise DataError(
            f"{path}: has no fold for {', '.join(missing)}",
            "add rows for them, or leave them out with --participant-label",
        )
    absent = sorted(fold_of.keys() - set(participants))
    if absent:
        log.warning("%s: not learned from now: %s", path, ", ".join(absent))
    numbers = sorted({fold_of[participant] for participant in participants})
    if len(numbers) < 2:
        raise DataError(f"{path}: leaves {len(numbers)} fold(s); training needs two or more", "give another table")
    return tuple(
        Fold(new, frozenset(participant for participant in participants if fold_of[participant] == number))
        for new, number in enumerate(numbers)
    )


def _order(value: str) -> tuple[bool, float, str]:
    """Sort numbers by size, and other values, among them ``n/a``, behind them by name."""
    try:
        number = float(value)
    except ValueError:
        return True, 0.0, value
    return (False, number, "") if np.isfinite(number) else (True, 0.0, value)


def _learned_from(pairs: Sequence[Pair]) -> list[str]:
    return sorted({pair.participant for pair in pairs if pair.target is not None})


def _read_table(path: Path) -> dict[str, int]:
    """Return participant → fold."""
    fold_of: dict[str, int] = {}
    try:
        rows = read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}", "give a tab-separated table") from error
    for line, row in enumerate(rows, start=2):
        label = next((row[name] for name in PARTICIPANT_COLUMNS if row.get(name)), None)
        number = row.get("fold") or ""
        if label is None or not number.isdecimal():
            raise DataError(
                f"{path}, line {line}: no participant with the number of a fold",
                "write columns participant and fold, tab-separated; folds count from 0",
            )
        participant = f"sub-{label.removeprefix('sub-')}"
        if fold_of.setdefault(participant, int(number)) != int(number):
            raise DataError(f"{path}, line {line}: {participant} is in two folds", "keep one of them")
    return fold_of

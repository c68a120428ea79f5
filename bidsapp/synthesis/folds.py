"""Folds: who is held out of which training, always whole participants."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import DataError, NoInputError
from bidsapp.text import read_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.records import Identity, Pair

log = logging.getLogger(__name__)

FOLDS = 5
PARTICIPANT_COLUMNS = ("participant", "participant_id")


@dataclass(frozen=True)
class Fold:
    """One training: its number, and the participants it holds out."""

    number: int
    held_out: frozenset[str]


def make_folds(
    pairs: Sequence[Pair],
    *,
    leave_one_out: bool,
    seed: int,
    strata: Mapping[str, str] | None = None,
    everyone: Sequence[Identity] = (),
) -> tuple[Fold, ...]:
    """Split the participants that have the target into folds; those who share a scan are one person.

    Parameters
    ----------
    pairs : sequence of Pair
        Visits; those without a target do not count.
    leave_one_out : bool
        As many folds as people; otherwise at most five.
    seed : int
        Seed of the shuffle.
    strata : mapping of str to str, or None
        Participant → value in which the folds shall be alike. Of more numbers than folds, what counts is the rank:
        each fold gets small and large ones.
    everyone : sequence of Identity
        Other visits by which it is known who shares a scan.

    Returns
    -------
    tuple of Fold
        Every participant is held out of exactly one.

    Raises
    ------
    NoInputError
        Fewer than two people have source and target.
    """
    participants = _learned_from(pairs)
    groups = _same_scan(pairs, everyone)
    for group in groups:
        log.warning(
            "%s have the same scan, voxel by voxel: held out together, as one person", ", ".join(sorted(group))
        )
    stands_for = {participant: min(group) for group in groups for participant in group}
    people = sorted({stands_for.get(participant, participant) for participant in participants})
    if len(people) < 2:
        raise NoInputError(
            f"{len(people)} participant(s) have both source and target; training needs two or more",
            "run the participant level on more of them, or apply a trained model with --model",
        )
    count = len(people) if leave_one_out else min(FOLDS, len(people))
    shuffled = np.random.default_rng(seed).permutation(people)
    if strata is None:
        parts = [frozenset(map(str, part)) for part in np.array_split(shuffled, count)]
    else:
        # Equal values stand together, in the shuffled order, and are dealt out like cards.
        dealt = sorted(map(str, shuffled), key=lambda participant: _order(strata.get(participant, "n/a")))
        parts = [frozenset(dealt[number::count]) for number in range(count)]
    return tuple(
        Fold(number, part.union(*(group for group in groups if min(group) in part)))
        for number, part in enumerate(parts)
    )


def read_folds(path: Path, pairs: Sequence[Pair], everyone: Sequence[Identity] = ()) -> tuple[Fold, ...]:
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
    everyone : sequence of Identity
        Other visits by which it is known who shares a scan.

    Returns
    -------
    tuple of Fold
        Every participant with a target is held out of exactly one.

    Raises
    ------
    DataError
        The table lacks a column or a participant, has one, or several who share a scan, in two folds, or leaves
        fewer than two folds.
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
    for group in _same_scan(pairs, everyone):
        if len({fold_of[participant] for participant in group}) > 1:
            raise DataError(
                f"{path}: {', '.join(sorted(group))} have the same scan, voxel by voxel, but not the same fold",
                "give them one fold, or leave all but one of them out with --participant-label",
            )
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


def _same_scan(pairs: Sequence[Pair], everyone: Sequence[Identity]) -> list[frozenset[str]]:
    """Return groups of those who are learned from and share a scan, also by way of others: each is one person."""
    having: defaultdict[str, set[str]] = defaultdict(set)
    known: list[Pair | Identity] = [*pairs, *everyone]
    for one in known:
        if one.fingerprint:
            having[one.fingerprint].add(one.participant)
    groups: list[frozenset[str]] = []
    for sharing in having.values():
        if len(sharing) > 1:
            met = [group for group in groups if group & sharing]
            groups = [*(group for group in groups if not group & sharing), frozenset(sharing).union(*met)]
    learned = frozenset(_learned_from(pairs))
    return [group & learned for group in groups if len(group & learned) > 1]


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

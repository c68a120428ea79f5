"""Whom the networks of a bundle have seen: visits, known by their voxels, and the fold that held them out."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bidsapp.records import Identity


@dataclass(frozen=True)
class Split:
    """A visit of a training participant.

    Attributes
    ----------
    visit, participant : str
        Labels in the dataset that the bundle was trained on; of whom only an earlier training saw, pseudonyms.
    fold : int or None
        The fold whose network never saw this participant; ``None`` where there is none.
    trained_on : bool
        Whether the visit's target was learned from; other visits of the participant have none.
    fingerprint : str
        SHA-256 of the voxels of the acquired source.
    """

    visit: str
    participant: str
    fold: int | None
    trained_on: bool
    fingerprint: str


def folds_of(splits: Iterable[Split], visits: Iterable[Identity]) -> frozenset[int | None]:
    """Return the folds that held out the people of these visits; empty where no network has seen any of them.

    People are recognized by the voxels of a visit, not by a label: labels repeat between datasets. Who is in
    several folds was held out of none: the network of each has learned from the others.
    """
    known: defaultdict[str, set[int | None]] = defaultdict(set)
    for split in splits:
        if split.fingerprint:
            known[split.fingerprint].add(split.fold)
    return frozenset[int | None]().union(*(known[one.fingerprint] for one in visits if one.fingerprint in known))


def write_splits(path: Path, splits: Sequence[Split]) -> None:
    """Write one row for each visit."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["visit", "participant", "fold", "trained_on", "fingerprint"])
        for s in splits:
            fold = "n/a" if s.fold is None else s.fold
            table.writerow([s.visit, s.participant, fold, str(s.trained_on).lower(), s.fingerprint])


def read_splits(path: Path) -> tuple[Split, ...]:
    """Read what `write_splits` wrote; `DataError` where it is something else."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(
                Split(
                    visit=row["visit"],
                    participant=row["participant"],
                    fold=None if row["fold"] == "n/a" else int(row["fold"]),
                    trained_on=row["trained_on"] == "true",
                    fingerprint=row["fingerprint"],
                )
                for row in csv.DictReader(file, delimiter="\t")
            )
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: no table of who was seen ({error})", "copy the bundle again") from error

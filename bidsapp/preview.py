"""A dry run of the group level: the plan, the folds and every visit, as tables that a person reads."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.console import print_table, progress_bar
from bidsapp.planning import checkpoints_of, features_asked, folds_of, goal_of, plans_of, start_of
from bidsapp.rendering import check_rendering
from bidsapp.settings import POPULATION_NORMALIZATIONS
from bidsapp.synthesis.checkpoint import read_plans
from bidsapp.synthesis.ensemble import find_bundle, make_splits, stored_pairs
from bidsapp.synthesis.finetuning import earlier_splits
from bidsapp.synthesis.modes import largest
from bidsapp.synthesis.plan import plan_to_json
from bidsapp.synthesis.splits import folds_of as held_out_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lightning_fabric import Fabric

    from bidsapp.bids.gather import Gathered
    from bidsapp.records import Identity, Pair, Plan
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.splits import Split

LEARNED = "learned from, predicted"
PREDICTED = "predicted"
LEFT_OUT = "left out"
FAILS = "not predicted"
MEAN = "mean of all folds"
NOBODY = "none: every network has seen them"


def dry_run(
    settings: Settings,
    gathered: Gathered,
    named: Bundle | None,
    parent: Bundle | None,
    everyone: Sequence[Identity],
    fabric: Fabric,
) -> None:
    """Print what a run of the group level would do, and write nothing.

    A scale that is fitted to a cohort is left to the run, for it writes images; the plan does not depend on it.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    gathered : Gathered
        The visits, admitted.
    named : Bundle or None
        The one that was named.
    parent : Bundle or None
        The one that is trained further.
    everyone : sequence of Identity
        By one visit that a bundle knows, the others of its participant are known, too.
    fabric : Fabric
        Device and precision.

    Raises
    ------
    AppError
        As a run would.
    """
    pairs = [visit.pair for visit in gathered.visits]
    fitted = settings.normalization in POPULATION_NORMALIZATIONS
    check_rendering(replace(settings, match_to=None) if fitted else settings, gathered.visits, named)
    path, key = goal_of(settings, pairs, parent)
    bundle = named or (None if fitted else find_bundle(path, key))
    if bundle:
        show_bundle(gathered, bundle, everyone, trained=named is None)
        return
    kept = None if fitted else read_plans(checkpoints_of(settings, key, fabric))
    planned = plan_training(
        pairs,
        features_asked(settings, parent),
        partial(folds_of, settings, everyone=everyone),
        lambda folds, extents: (
            kept or plans_of(settings, len(folds), fabric, extents, start_of(parent, folds, everyone))
        ),
        presence=settings.allow_missing_source,
    )
    start = start_of(parent, planned.folds, everyone)
    splits = make_splits(everyone, {pair.visit for pair in planned.learned}, planned.folds)
    by = predicted_by((*(earlier_splits(start, splits) if start else ()), *splits), gathered, everyone)
    to_find = settings.lr == "auto" and kept is None
    show_training(gathered, planned, by, {"learning_rate": "auto: by a range test"} if to_find else {})


@dataclass(frozen=True)
class Planned:
    """What a training would be.

    Attributes
    ----------
    plan, baseline : Plan, Plan or None
        Of the network and of the one beside it.
    folds : tuple of Fold
        Who is held out of which training.
    learned : tuple of Pair
        Pairs that are learned from.
    unusable : dict of str to str
        Visit → why its images cannot be.
    """

    plan: Plan
    baseline: Plan | None
    folds: tuple[Fold, ...]
    learned: tuple[Pair, ...]
    unusable: dict[str, str]


def plan_training(
    pairs: Sequence[Pair],
    features: Sequence[str],
    folds: Callable[[Sequence[Pair]], tuple[Fold, ...]],
    plans: Callable[[Sequence[Fold], Sequence[int]], tuple[Plan, Plan | None]],
    *,
    presence: bool = False,
) -> Planned:
    """Plan a training as the level does, and keep nothing.

    Every pair is read as it would be for the training, one after the other, in a folder of the system that goes.

    Parameters
    ----------
    pairs : sequence of Pair
        Visits; those without a target do not count.
    features : sequence of str
        Feature channels that the network reads.
    folds : callable
        Returns the folds of the pairs that are learned from.
    plans : callable
        Returns the plan and the baseline's, given the folds and the greatest extents of a volume.
    presence : bool
        Whether the network reads which sources are there.

    Raises
    ------
    DataError, NoInputError
        As a training would.
    """
    learned: list[Pair] = []
    unusable: dict[str, str] = {}
    extents: list[tuple[int, ...]] = []
    with progress_bar("reading", total=len(pairs)) as update, tempfile.TemporaryDirectory() as folder:
        for number, pair in enumerate(pairs):
            update(number, pair.visit)
            with stored_pairs([pair], features, Path(folder) / "pair", presence=presence) as (stored, refused):
                learned += stored
                extents += [largest([volume]) for volume in stored.values()]
                unusable |= {pair.visit: str(error) for pair, error in refused.items()}
    split = folds(learned)
    return Planned(*plans(split, [max(n) for n in zip(*extents, strict=True)]), split, tuple(learned), unusable)


def predicted_by(known: Sequence[Split], gathered: Gathered, everyone: Sequence[Identity]) -> dict[str, str]:
    """Return participant → which networks predict them, as `Bundle.fold_of` chooses those.

    Parameters
    ----------
    known : sequence of Split
        Whom any network has seen.
    gathered : Gathered
        The visits.
    everyone : sequence of Identity
        By one visit that is known, the others of its participant are known, too.
    """
    said = {}
    for person in {visit.pair.participant for visit in gathered.visits}:
        folds = held_out_by(known, [one for one in everyone if one.participant == person])
        number = next(iter(folds)) if len(folds) == 1 else None
        said[person] = MEAN if not folds else NOBODY if number is None else f"fold {number}"
    return said


def show_training(gathered: Gathered, planned: Planned, by: Mapping[str, str], notes: dict[str, str]) -> None:
    """Print what would be trained and on whom.

    Parameters
    ----------
    gathered : Gathered
        The visits.
    planned : Planned
        From `plan_training`.
    by : mapping of str to str
        From `predicted_by`.
    notes : dict of str to str
        Field of the plan → what takes the place of its value, such as a learning rate that is to be found.
    """
    plan, baseline = _said(planned.plan), planned.baseline and _said(planned.baseline)
    rows = [
        {"field": name, "network": notes.get(name, value), "baseline": (baseline or {}).get(name)}
        for name, value in plan.items()
    ]
    print_table(
        "Plan", ["field", "network", *(["baseline"] if baseline else [])], rows, wrap=("network", "baseline")
    )
    folds = [
        {
            "fold": fold.number,
            "learns from": f"{sum(pair.participant not in fold.held_out for pair in planned.learned)} visits",
            "holds out": ", ".join(sorted(fold.held_out)),
        }
        for fold in planned.folds
    ]
    print_table("Folds", ["fold", "learns from", "holds out"], folds, wrap=("holds out",))
    _show_visits(gathered, by, {pair.visit for pair in planned.learned}, planned.unusable)


def show_bundle(gathered: Gathered, bundle: Bundle, everyone: Sequence[Identity], *, trained: bool) -> None:
    """Print which bundle would be applied, to whom.

    Parameters
    ----------
    gathered : Gathered
        The visits.
    bundle : Bundle
        What is applied.
    everyone : sequence of Identity
        By one visit that the bundle knows, the others of its participant are known, too.
    trained : bool
        Whether it was trained on these very visits before, rather than named.
    """
    rows = [{"field": name, "network": value} for name, value in _said(bundle.plan).items()]
    how = "trained on these visits with these settings before" if trained else "given; nothing is trained"
    print_table(f"Bundle {bundle.path}, {how}", ["field", "network"], rows, wrap=("network",))
    learned = {split.fingerprint for split in bundle.splits if split.trained_on}
    known = {visit.pair.visit for visit in gathered.visits if trained and visit.pair.fingerprint in learned}
    _show_visits(gathered, predicted_by(bundle.everybody, gathered, everyone), known, {})


def _show_visits(gathered: Gathered, by: Mapping[str, str], learned: set[str], unusable: dict[str, str]) -> None:
    why = {skip.visit: f"{skip.reason} ({skip.hint})" for skip in gathered.dropped} | unusable
    rows: list[dict[str, object]] = []
    for visit in gathered.visits:
        pair = visit.pair
        reason = "no target" if pair.target is None else None
        rows.append(
            {
                "visit": pair.visit,
                "is": LEARNED if pair.visit in learned else FAILS if by[pair.participant] == NOBODY else PREDICTED,
                "by": by[pair.participant],
                "note": None if pair.visit in learned else why.get(pair.visit, reason),
            }
        )
    rows += [
        {"visit": skip.visit, "is": LEFT_OUT, "note": f"{skip.reason} ({skip.hint})"}
        for skip in (*gathered.skipped, *gathered.damaged)
    ]
    print_table("Visits", ["visit", "is", "by", "note"], rows, wrap=("is", "by", "note"))


def _said(plan: Plan) -> dict[str, str | None]:
    """Return the fields of a plan as ``--plan`` takes them."""
    return {name: _text(value) for name, value in plan_to_json(plan).items()}


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ",".join(map(str, value)) or None
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else value if value is None else str(value)

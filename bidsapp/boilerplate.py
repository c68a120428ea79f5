"""The methods text of settings, without processing anything: ``--boilerplate-only``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bidsapp.bids import names
from bidsapp.errors import NoInputError
from bidsapp.planning import asked_plan, minutes_of
from bidsapp.reports.boilerplate import LOGS, recorded, together, write_citation
from bidsapp.reports.learning import Learning, tell
from bidsapp.results import methods_of
from bidsapp.settings import POPULATION_NORMALIZATIONS
from bidsapp.status import VisitStatus
from bidsapp.synthesis.crossfit import FLOOR, FOREST
from bidsapp.synthesis.manifest import Origin
from bidsapp.synthesis.overrides import read_overrides
from bidsapp.synthesis.plan import BASELINE
from bidsapp.synthesis.sizing import SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.reports.boilerplate import Sentence
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle

NOTE = (
    "Written by --boilerplate-only: this is what SynthPrep would do with these options. Nothing was processed, "
    "and what follows from the data, such as the number of folds, is left out. The next run that processes "
    "something writes what was done in its place."
)
# Fields of the plan that follow the time.
SIZED = {"channels", "patch"}
SHARED = "the time that {:g} minutes for the whole group level leave"


def run(settings: Settings) -> tuple[VisitStatus, ...]:
    """Write ``logs/CITATION.md``, ``.html`` and ``.bib`` for settings.

    Parameters
    ----------
    settings : Settings
        What was asked for. Of the participant level, the visits that would be processed are told of; without it,
        those that earlier runs processed.

    Returns
    -------
    tuple of VisitStatus
        One for each visit that the text is about, and for each that would be skipped.

    Raises
    ------
    NoInputError
        The group level is asked for alone, and no visit was processed yet.
    """
    visits, statuses = _visits(settings)
    groups = [_group(settings)] if "group" in settings.levels else []
    for path in write_citation(settings.output_dir / LOGS, together(visits, groups), NOTE):
        sys.stdout.write(f"{path}\n")
    return (*statuses, *(VisitStatus(label, "selected") for label in visits))


def _visits(settings: Settings) -> tuple[Mapping[str, Sequence[Sentence]], list[VisitStatus]]:
    if "participant" not in settings.levels:
        visits, _ = recorded(settings.output_dir)
        if not visits:
            hint = "ask for the participant level, too"
            raise NoInputError(f"{settings.output_dir}: no visit was processed there", hint)
        return visits, []
    from bidsapp.bids.select import select
    from bidsapp.workflows.prose import sentences_of

    selection = select(settings)
    skipped = [VisitStatus(skip.visit, "skipped", skip.reason, skip.hint) for skip in selection.skipped]
    return {visit.label: sentences_of(settings, visit) for visit in selection.visits}, skipped


def _group(settings: Settings) -> str:
    """Return the text of the bundle that would be applied, or of the training that would make one."""
    from bidsapp.synthesis.bundle import read_bundle

    if settings.model is not None:
        return methods_of(settings, read_bundle(settings.model))
    parent = read_bundle(settings.init_from) if settings.init_from else None
    minutes = minutes_of(settings)
    plan = asked_plan(settings, minutes, "", (1, 1, 1), parent and parent.plan)
    counted = plan.max_steps is not None or plan.epochs is not None
    own = read_overrides(settings.plan)
    rival = settings.baseline and settings.network != BASELINE
    return tell(
        Learning(
            plan,
            sized=counted or parent is not None or settings.network not in SIZES or own.keys() >= SIZED,
            name=names.bundle(settings.source, settings.target, settings.network).rpartition("/")[2],
            population=_population(settings, parent),
            origin=Origin(parent.name, parent.version, parent.sha256, ()) if parent else None,
            range_test=settings.lr == "auto",
            limit="" if minutes is None or settings.crossval or "minutes" in own else SHARED.format(minutes),
            rivals=(BASELINE, FLOOR, FOREST) if rival else (FLOOR, FOREST),
            axial=settings.axial,
            measured=settings.axial,
            native=settings.synth_space == "native",
            match_to=settings.match_to,
            export=settings.export,
        )
    )


def _population(settings: Settings, parent: Bundle | None) -> str | None:
    if parent:
        return parent.population.method if parent.population else None
    return settings.normalization if settings.normalization in POPULATION_NORMALIZATIONS else None

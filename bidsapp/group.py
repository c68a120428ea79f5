"""The group level: gather pairs → train or read a bundle → predict every visit → measure → report."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bidsapp import __version__
from bidsapp.admission import admit, named_bundle, training_images
from bidsapp.application import apply_bundle
from bidsapp.bids import names
from bidsapp.bids.fence import check_fence, folders_of
from bidsapp.bids.gather import gather
from bidsapp.bids.participants import update_participants
from bidsapp.console import progress_bar
from bidsapp.errors import NoInputError
from bidsapp.launch import find_place, others_started
from bidsapp.planning import arrays_of, checkpoints_of, features_asked, folds_of, goal_of, settled_plans, start_of
from bidsapp.records import Skip
from bidsapp.rendering import check_rendering
from bidsapp.resources import shared
from bidsapp.results import record, record_quality
from bidsapp.settings import POPULATION_NORMALIZATIONS
from bidsapp.status import VisitStatus, pending
from bidsapp.synthesis.crew import dismiss, hold, leading
from bidsapp.synthesis.overrides import read_overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lightning_fabric import Fabric

    from bidsapp.bids.gather import Gathered
    from bidsapp.records import Identity, Pair, Plan
    from bidsapp.resources import Grant
    from bidsapp.scales import Population
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.manifest import Images
    from bidsapp.synthesis.run import Step
    from bidsapp.synthesis.sampling import TrainingVolume

log = logging.getLogger(__name__)


def run(settings: Settings, grant: Grant, tell: Callable[..., None] = lambda *_: None) -> tuple[VisitStatus, ...]:
    """Train or read a bundle, and give every gathered visit a synthesized image; in a dry run, say so only.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    grant : Grant
        Threads for PyTorch, and memory for what is learned from.
    tell : callable
        Is given the `VisitStatus` of visits as soon as they are known, and of those that are to be predicted.

    Returns
    -------
    tuple of VisitStatus
        One for each visit that the participant level has finished.

    Raises
    ------
    NoInputError
        No visit can be used, or too few to train on.
    UsageError
        Every visit is on another intensity scale or grid than the bundle or the settings want.
    DataError
        The bundle that was named cannot be read.
    """
    grant = _of_one(grant, settings)
    with others_started(settings.to_toml(), settings.processes), leading(_fabric(settings, grant)) as fabric:
        return _run(settings, grant, fabric, tell)


def follow(settings: Settings, grant: Grant) -> None:
    """Take part in the trainings of a run that another process leads.

    Parameters
    ----------
    settings : Settings
        The same.
    grant : Grant
        Threads and memory of all processes on this computer.
    """
    grant = _of_one(grant, settings)
    fabric = _fabric(settings, grant)

    @contextmanager
    def held(pairs: Sequence[Pair], features: Sequence[str], presence: bool) -> Iterator[list[TrainingVolume]]:
        with arrays_of(settings, pairs, features, grant.memory_gb, presence=presence) as (stored, unusable):
            for error in unusable.values():
                raise error
            yield list(stored.values())

    fabric.follow(held)


def _run(settings: Settings, grant: Grant, fabric: Fabric, tell: Callable[..., None]) -> tuple[VisitStatus, ...]:
    named, parent = (named_bundle(settings, path) for path in (settings.model, settings.init_from))
    known = named or parent
    gathered = _gathered(
        settings, may_miss=known.plan.sources_may_miss if known else settings.allow_missing_source
    )
    everyone = gathered.identities
    images = known.images if known else training_images(settings, gathered.visits)
    gathered = _within(settings, admit(gathered, images, settings.target))
    _warn((*gathered.skipped, *gathered.dropped, *gathered.damaged))
    skipped = [VisitStatus(skip.visit, "skipped", skip.reason, skip.hint) for skip in gathered.skipped]
    if settings.dry_run:
        from bidsapp.preview import dry_run

        dry_run(settings, gathered, named, parent, everyone, fabric)
        selected = [VisitStatus(visit.pair.visit, "selected") for visit in gathered.visits]
        return (*selected, *skipped, *_failed(gathered))
    check_fence(settings.output_dir, (folder for visit in gathered.visits for folder in folders_of(visit.visit)))
    update_participants(settings.output_dir)  # a participant job that was killed has listed nobody
    tell(*skipped, *(pending(visit.pair.visit) for visit in gathered.visits))
    gathered, population = _on_population_scale(settings, gathered, known)
    pairs = [visit.pair for visit in gathered.visits]
    check_rendering(settings, gathered.visits, named)
    try:
        bundle = named or _trained(settings, pairs, everyone, images, fabric, population, parent, grant.memory_gb)
    except NoInputError as error:
        _without_predictions(settings, error.message, gathered)
        raise
    dismiss(fabric)
    statuses, predictions = apply_bundle(settings, gathered.visits, bundle, fabric, everyone, tell)
    lost = [Skip(status.visit, status.reason, status.hint) for status in statuses if status.state != "done"]
    record(settings, replace(gathered, damaged=(*gathered.damaged, *lost)), bundle, predictions)
    if settings.export:
        _export(settings, bundle, settings.export)
    if settings.keep_work != "always":
        shutil.rmtree(settings.work / "ravel", ignore_errors=True)
    return (*statuses, *skipped, *_failed(gathered))


def _warn(skips: Iterable[Skip]) -> None:
    for skip in skips:
        log.warning("%s: %s (%s)", skip.visit, skip.reason, skip.hint)


def _without_predictions(settings: Settings, why: str, gathered: Gathered) -> None:
    """Leave a page on what the participant level has made, though nothing can be predicted."""
    if not settings.dry_run:
        record_quality(settings, why, (*gathered.skipped, *gathered.damaged))


def _failed(gathered: Gathered) -> list[VisitStatus]:
    return [VisitStatus(skip.visit, "failed", skip.reason, skip.hint) for skip in gathered.damaged]


def _gathered(settings: Settings, *, may_miss: bool) -> Gathered:
    gathered = gather(
        settings.output_dir,
        settings.source,
        settings.target,
        settings.reference,
        participants=settings.participant_label,
        sessions=settings.session_label,
        may_miss=may_miss,
    )
    if not gathered.visits:
        _warn((*gathered.skipped, *gathered.damaged))
        needed = (" or " if may_miss else " and ").join(settings.source)
        _without_predictions(settings, f"no visit has a usable {needed}", gathered)
        raise NoInputError(
            f"{settings.output_dir}: no visit has a usable {needed}", "run the participant level first"
        )
    return gathered


def _within(settings: Settings, gathered: Gathered) -> Gathered:
    """Return the visits with the range within which is learned and measured, and whether it is for tests only."""
    visits = [
        replace(v, pair=replace(v.pair, axial_range=settings.axial, sloppy=settings.sloppy or v.pair.sloppy))
        for v in gathered.visits
    ]
    return replace(gathered, visits=tuple(visits))


def _on_population_scale(
    settings: Settings, gathered: Gathered, known: Bundle | None
) -> tuple[Gathered, Population | None]:
    """Return the visits on the scale of the cohort, or of the bundle's, where there is one; and that scale."""
    from bidsapp.cohort.scale import apply_population, fit_population

    if known:
        population = known.population
    elif settings.normalization in POPULATION_NORMALIZATIONS:
        population = fit_population(settings, gathered.visits)
    else:
        population = None
    if population is None:
        return gathered, None
    visits, damaged = apply_population(settings, gathered.visits, population)
    _warn(damaged)
    return replace(gathered, visits=tuple(visits), damaged=(*gathered.damaged, *damaged)), population


def _fabric(settings: Settings, grant: Grant) -> Fabric:
    import torch

    from bidsapp.synthesis.training import make_fabric

    precision = read_overrides(settings.plan).get("precision")
    fabric = make_fabric(settings.device, precision, settings.devices, settings.num_nodes)
    torch.set_num_threads(settings.omp_nthreads or grant.cpus)  # Fabric sets them, too
    return fabric


def _of_one(grant: Grant, settings: Settings) -> Grant:
    """Return what this process may use, which shares a computer with others of the run."""
    place = find_place()
    return shared(grant, settings.devices, tasks=place is not None and place.launcher == "srun")


def _trained(
    settings: Settings,
    pairs: Sequence[Pair],
    everyone: Sequence[Identity],
    images: Images,
    fabric: Fabric,
    population: Population | None,
    parent: Bundle | None,
    memory_gb: float,
) -> Bundle:
    """Return the bundle that was trained on these pairs before, or a new one; it remembers all their people."""
    from bidsapp.synthesis.checkpoint import kept_if_interrupted, kept_plans
    from bidsapp.synthesis.ensemble import find_bundle, train_bundle
    from bidsapp.synthesis.plan import plan_to_json

    path, key = goal_of(settings, pairs, parent)
    known = find_bundle(path, key)
    if known is not None:
        log.info("%s was trained on these pairs with these settings; it is used again", path)
        return known
    if settings.reports_only:
        hint = "run it without --reports-only, or name a bundle by --model"
        raise NoInputError(f"{path}: no bundle was trained on these pairs with these settings", hint)
    check_fence(settings.output_dir, [str(path.relative_to(settings.output_dir))])
    features, presence = features_asked(settings, parent), settings.allow_missing_source
    with arrays_of(settings, pairs, features, memory_gb, presence=presence) as (stored, unusable):
        hold(fabric, stored, features, presence=presence)
        for pair, error in unusable.items():
            log.warning("%s is not learned from: %s", pair.visit, error)
        folds = folds_of(settings, list(stored), everyone)
        start = start_of(parent, folds, everyone)
        checkpoints = checkpoints_of(settings, key, fabric)
        make = partial(settled_plans, settings, stored, folds, fabric, checkpoints, start)
        plan, baseline = kept_plans(checkpoints, make)
        rival = f" and {baseline.network}" if baseline else ""
        log.info("training %d folds of %s%s", len(folds), plan.network, rival)
        log.info("plan: %s", json.dumps(plan_to_json(plan)))
        with kept_if_interrupted(checkpoints), _training_bar(len(folds), plan, baseline) as on_step:
            return train_bundle(
                path,
                everyone,
                stored,
                folds,
                plan,
                baseline,
                images=images,
                key=key,
                version=__version__,
                fabric=fabric,
                on_step=on_step,
                checkpoints=checkpoints,
                population=population,
                start=start,
            )


def _export(settings: Settings, bundle: Bundle, form: str) -> None:
    from bidsapp.synthesis.export import export_bundle

    folder = names.exported(bundle.name)
    check_fence(settings.output_dir, [folder])
    log.info("exported: %s", export_bundle(bundle, settings.output_dir / folder, form))


@contextmanager
def _training_bar(folds: int, plan: Plan, baseline: Plan | None) -> Iterator[Callable[[Fold, Plan, Step], None]]:
    per_fold = 2 if baseline else 1
    with progress_bar("training", total=folds * per_fold) as update:

        def on_step(fold: Fold, running: Plan, step: Step) -> None:
            done = fold.number * per_fold + (running is not plan) + step.progress
            rate = step.voxels_per_second / 1e6
            update(done, f"fold {fold.number} {running.network}: loss {step.loss:.3f}, {rate:.2f} Mvoxel/s")

        yield on_step

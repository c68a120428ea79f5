"""The group level: gather pairs → train or read a bundle → predict every visit → measure → report."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.admission import admit, check_asked, check_contrasts, training_images
from bidsapp.application import apply_bundle
from bidsapp.bids import names
from bidsapp.bids.gather import gather
from bidsapp.bids.sink import write_text
from bidsapp.console import progress_bar
from bidsapp.errors import NoInputError
from bidsapp.planning import checkpoints_of, features_asked, folds_of, strata_of
from bidsapp.rendering import check_rendering
from bidsapp.results import record
from bidsapp.settings import POPULATION_NORMALIZATIONS
from bidsapp.status import VisitStatus
from bidsapp.synthesis.overrides import overridden, read_overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lightning_fabric import Fabric

    from bidsapp.bids.gather import Gathered
    from bidsapp.records import Pair, Plan, Population
    from bidsapp.resources import Grant
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.manifest import Images
    from bidsapp.synthesis.run import Step
    from bidsapp.synthesis.sampling import TrainingVolume

log = logging.getLogger(__name__)

# Of the minutes given to the whole group level; the rest is for predicting and measuring.
TRAINING_SHARE = 0.6
SLOPPY_STEPS = 20
SLOPPY_PATCH = 24


def run(settings: Settings, grant: Grant) -> tuple[VisitStatus, ...]:
    """Train or read a bundle, and give every gathered visit a synthesized image; in a dry run, say so only.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    grant : Grant
        Threads for PyTorch.

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
    named = _named(settings)
    gathered = _gathered(
        settings, may_miss=named.plan.sources_may_miss if named else settings.allow_missing_source
    )
    everyone = [visit.pair for visit in (*gathered.visits, *gathered.unselected)]
    images = named.images if named else training_images(settings, gathered.visits)
    gathered = _within(settings, admit(gathered, images, settings.target))
    for skip in (*gathered.skipped, *gathered.dropped, *gathered.damaged):
        log.warning("%s: %s (%s)", skip.visit, skip.reason, skip.hint)
    fabric = _fabric(settings, grant)
    skipped = [VisitStatus(skip.visit, "skipped", skip.reason, skip.hint) for skip in gathered.skipped]
    if settings.dry_run:
        from bidsapp.preview import dry_run

        dry_run(settings, gathered, named, everyone, fabric, goal=_goal, plans=_plans)
        selected = [VisitStatus(visit.pair.visit, "selected") for visit in gathered.visits]
        return (*selected, *skipped, *_failed(gathered))
    gathered, population = _on_population_scale(settings, gathered, named)
    pairs = [visit.pair for visit in gathered.visits]
    check_rendering(settings, gathered.visits, named)
    bundle = named or _trained(settings, pairs, everyone, images, fabric, population)
    statuses, predictions = apply_bundle(settings, gathered.visits, bundle, fabric, everyone)
    record(settings, gathered, bundle, predictions)
    return (*statuses, *skipped, *_failed(gathered))


def _failed(gathered: Gathered) -> list[VisitStatus]:
    return [VisitStatus(skip.visit, "failed", skip.reason, skip.hint) for skip in gathered.damaged]


def _named(settings: Settings) -> Bundle | None:
    """Return the bundle that was named; it must do what was asked for."""
    from bidsapp.synthesis.bundle import read_bundle

    if settings.model is None:
        return None
    bundle = read_bundle(settings.model)
    check_contrasts(settings, bundle.plan.sources, bundle.plan.target, bundle.path)
    check_asked(settings, bundle.images, bundle.path)
    return bundle


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
        for skip in (*gathered.skipped, *gathered.damaged):
            log.warning("%s: %s (%s)", skip.visit, skip.reason, skip.hint)
        needed = (" or " if may_miss else " and ").join(settings.source)
        raise NoInputError(
            f"{settings.output_dir}: no visit has a usable {needed}", "run the participant level first"
        )
    return gathered


def _within(settings: Settings, gathered: Gathered) -> Gathered:
    """Return the visits with the range within which is learned and measured."""
    visits = [replace(v, pair=replace(v.pair, axial_range=settings.axial)) for v in gathered.visits]
    return replace(gathered, visits=tuple(visits))


def _on_population_scale(
    settings: Settings, gathered: Gathered, named: Bundle | None
) -> tuple[Gathered, Population | None]:
    """Return the visits on the scale of the cohort, or of the bundle's, where there is one; and that scale."""
    from bidsapp.cohort.scale import apply_population, fit_population

    if named:
        population = named.population
    elif settings.normalization in POPULATION_NORMALIZATIONS:
        population = fit_population(settings, gathered.visits)
    else:
        population = None
    if population is None:
        return gathered, None
    visits, damaged = apply_population(settings, gathered.visits, population)
    return replace(gathered, visits=tuple(visits), damaged=(*gathered.damaged, *damaged)), population


def _fabric(settings: Settings, grant: Grant) -> Fabric:
    import torch

    from bidsapp.synthesis.training import make_fabric

    torch.set_num_threads(settings.omp_nthreads or grant.cpus)
    return make_fabric(settings.device, read_overrides(settings.plan).get("precision"))


def _trained(
    settings: Settings,
    pairs: Sequence[Pair],
    everyone: Sequence[Pair],
    images: Images,
    fabric: Fabric,
    population: Population | None,
) -> Bundle:
    """Return the bundle that was trained on these pairs before, or a new one; it remembers all their people."""
    from bidsapp.synthesis.checkpoint import kept_plans
    from bidsapp.synthesis.ensemble import find_bundle, stored_pairs, train_bundle
    from bidsapp.synthesis.plan import plan_to_json

    path, key = _goal(settings, pairs)
    known = find_bundle(path, key)
    if known is not None:
        log.info("%s was trained on these pairs with these settings; it is used again", path)
        return known
    presence, folder = settings.allow_missing_source, settings.work / "group"
    with stored_pairs(pairs, features_asked(settings), folder, presence=presence) as (stored, unusable):
        for pair, error in unusable.items():
            log.warning("%s is not learned from: %s", pair.visit, error)
        folds = folds_of(settings, list(stored))
        checkpoints = checkpoints_of(settings, key, fabric)
        plan, baseline = kept_plans(checkpoints, partial(_tested, settings, stored, folds, fabric, checkpoints))
        rival = f" and {baseline.network}" if baseline else ""
        log.info("training %d folds of %s%s", len(folds), plan.network, rival)
        log.info("plan: %s", json.dumps(plan_to_json(plan)))
        with _training_bar(len(folds), plan, baseline) as on_step:
            return train_bundle(
                path,
                list({pair.visit: pair for pair in (*everyone, *pairs)}.values()),
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
            )


def _goal(settings: Settings, pairs: Sequence[Pair]) -> tuple[Path, str]:
    """Return the folder of the bundle that a training on these pairs makes, and its key."""
    from bidsapp.synthesis.ensemble import training_key

    path = settings.output_dir / names.bundle(settings.source, settings.target, settings.network)
    return path, training_key(pairs, {**_request(settings), "strata": strata_of(settings)})


def _request(settings: Settings) -> dict[str, Any]:
    """Return what a training depends on besides its images."""
    from bidsapp.synthesis.bundle import file_sha256

    data = ("source", "allow_missing_source", "target", "reference", "normalization", "crossval", "axial_range")
    shown = ("input_mode", "slice_axis")
    training = ("network", "norm", "loss", "augmentation", "ema", "lr", "baseline", "seed", "sloppy", "device")
    length = ("max_minutes", "max_steps", "epochs")
    values = {name: getattr(settings, name) for name in (*data, *shown, *training, *length)}
    splits = settings.splits and file_sha256(settings.splits)
    return {**values, "plan": sorted(settings.plan), "splits": splits, "version": __version__}


def _plans(
    settings: Settings, folds: int, fabric: Fabric, extents: Sequence[int] | None = None
) -> tuple[Plan, Plan | None]:
    from bidsapp.synthesis.plan import BASELINE, make_plan
    from bidsapp.synthesis.sizing import size_to_minutes

    baseline = settings.baseline and settings.network != BASELINE
    minutes = settings.max_minutes
    if not settings.crossval:
        minutes *= TRAINING_SHARE / (folds * (2 if baseline else 1))
    steps = settings.max_steps or (SLOPPY_STEPS if settings.sloppy and settings.epochs is None else None)
    rate = None if settings.lr in {None, "auto"} else float(settings.lr)

    def plan(network: str, **asked: Any) -> Plan:
        return make_plan(
            network,
            settings.source,
            settings.target,
            minutes=minutes,
            max_steps=steps,
            epochs=settings.epochs,
            precision=str(fabric._precision.precision),
            seed=settings.seed,
            patch=SLOPPY_PATCH if settings.sloppy else None,
            norm=settings.norm if network == settings.network else "batch",
            **asked,
        )

    asked = {
        "loss": settings.loss,
        "augmentation": settings.augmentation,
        "averaging": settings.ema,
        "sources_may_miss": settings.allow_missing_source,
        "input_mode": settings.input_mode,
        "slice_axis": settings.slice_axis,
        "extents": extents,
    }
    own = read_overrides(settings.plan)
    mine = overridden(plan(settings.network, learning_rate=rate, **asked), own)
    return size_to_minutes(mine, fabric, fixed=own), plan(BASELINE) if baseline else None


def _tested(
    settings: Settings,
    stored: Mapping[Pair, TrainingVolume],
    folds: Sequence[Fold],
    fabric: Fabric,
    checkpoints: Path,
) -> tuple[Plan, Plan | None]:
    """Return the plans, with a learning rate found on what the first fold learns from where that was asked for."""
    from bidsapp.synthesis.modes import WHOLE, largest
    from bidsapp.synthesis.rates import RATES_FILE, find_rate

    extents = largest(list(stored.values())) if settings.input_mode in WHOLE else None
    plan, baseline = _plans(settings, len(folds), fabric, extents)
    if settings.lr == "auto":
        volumes = [volume for pair, volume in stored.items() if pair.participant not in folds[0].held_out]
        plan, test = find_rate(volumes, plan, fabric)
        log.info("a range test of %d steps chose the learning rate %.3g", len(test.rates), test.chosen)
        write_text(test.to_tsv(), checkpoints / RATES_FILE)
    return plan, baseline


@contextmanager
def _training_bar(folds: int, plan: Plan, baseline: Plan | None) -> Iterator[Callable[[Fold, Plan, Step], None]]:
    per_fold = 2 if baseline else 1
    with progress_bar("training", total=folds * per_fold) as update:

        def on_step(fold: Fold, running: Plan, step: Step) -> None:
            done = fold.number * per_fold + (running is not plan) + step.progress
            rate = step.voxels_per_second / 1e6
            update(done, f"fold {fold.number} {running.network}: loss {step.loss:.3f}, {rate:.2f} Mvoxel/s")

        yield on_step

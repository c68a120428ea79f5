"""The group level: gather pairs → train or read a bundle → predict every visit → measure → report."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.admission import admit, check_asked, training_images
from bidsapp.application import apply_bundle
from bidsapp.bids import names
from bidsapp.bids.gather import gather
from bidsapp.bids.participants import column_of
from bidsapp.bids.sink import write_text
from bidsapp.console import progress_bar
from bidsapp.errors import NoInputError, UsageError
from bidsapp.results import record
from bidsapp.settings import POPULATION_NORMALIZATIONS
from bidsapp.status import VisitStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lightning_fabric import Fabric

    from bidsapp.bids.gather import Gathered
    from bidsapp.records import Pair, Plan, Population
    from bidsapp.resources import Grant
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.finetuning import Start
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
    """Train or read a bundle, and give every gathered visit a synthesized image.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    grant : Grant
        Threads for PyTorch, and memory for what is learned from.

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
    named, parent = (_named(settings, path) for path in (settings.model, settings.init_from))
    known = named or parent
    gathered = _gathered(settings)
    everyone = [visit.pair for visit in (*gathered.visits, *gathered.unselected)]
    images = known.images if known else training_images(settings, gathered.visits)
    gathered = _within(settings, admit(gathered, images, settings.target))
    for skip in (*gathered.skipped, *gathered.dropped, *gathered.damaged):
        log.warning("%s: %s (%s)", skip.visit, skip.reason, skip.hint)
    fabric = _fabric(settings, grant)
    gathered, population = _on_population_scale(settings, gathered, known)
    pairs = [visit.pair for visit in gathered.visits]
    bundle = named or _trained(settings, pairs, everyone, images, fabric, population, parent, grant.memory_gb)
    statuses, predictions = apply_bundle(settings, gathered.visits, bundle, fabric, everyone)
    record(settings, gathered, bundle, predictions)
    skipped = [VisitStatus(skip.visit, "skipped", skip.reason, skip.hint) for skip in gathered.skipped]
    damaged = [VisitStatus(skip.visit, "failed", skip.reason, skip.hint) for skip in gathered.damaged]
    return (*statuses, *skipped, *damaged)


def _named(settings: Settings, path: Path | None) -> Bundle | None:
    """Return the bundle that was named; it must do what was asked for."""
    from bidsapp.synthesis.bundle import read_bundle

    if path is None:
        return None
    bundle = read_bundle(path)
    plan = bundle.plan
    if (plan.sources, plan.target) != (settings.source, settings.target):
        raise UsageError(
            f"{bundle.path}: predicts {plan.target} from {','.join(plan.sources)}",
            f"give --source {','.join(plan.sources)} --target {plan.target}, or another bundle",
        )
    check_asked(settings, bundle.images, bundle.path)
    return bundle


def _gathered(settings: Settings) -> Gathered:
    gathered = gather(
        settings.output_dir,
        settings.source,
        settings.target,
        settings.reference,
        participants=settings.participant_label,
        sessions=settings.session_label,
    )
    if not gathered.visits:
        for skip in (*gathered.skipped, *gathered.damaged):
            log.warning("%s: %s (%s)", skip.visit, skip.reason, skip.hint)
        raise NoInputError(
            f"{settings.output_dir}: no visit has a usable {' and '.join(settings.source)}",
            "run the participant level first",
        )
    return gathered


def _within(settings: Settings, gathered: Gathered) -> Gathered:
    """Return the visits with the range within which is learned and measured."""
    visits = [replace(v, pair=replace(v.pair, axial_range=settings.axial)) for v in gathered.visits]
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
    return replace(gathered, visits=tuple(visits), damaged=(*gathered.damaged, *damaged)), population


def _fabric(settings: Settings, grant: Grant) -> Fabric:
    import torch

    from bidsapp.synthesis.training import make_fabric

    torch.set_num_threads(settings.omp_nthreads or grant.cpus)
    return make_fabric(settings.device)


def _trained(
    settings: Settings,
    pairs: Sequence[Pair],
    everyone: Sequence[Pair],
    images: Images,
    fabric: Fabric,
    population: Population | None,
    parent: Bundle | None,
    memory_gb: float,
) -> Bundle:
    """Return the bundle that was trained on these pairs before, or a new one; it remembers all their people."""
    from bidsapp.synthesis.checkpoint import kept_plans
    from bidsapp.synthesis.ensemble import find_bundle, stored_pairs, train_bundle, training_key
    from bidsapp.synthesis.finetuning import choose_start
    from bidsapp.synthesis.folds import make_folds, read_folds
    from bidsapp.synthesis.plan import features_of, plan_to_json

    path = settings.output_dir / names.bundle(settings.source, settings.target, settings.network)
    strata = column_of(settings.output_dir, settings.stratify) if settings.stratify else None
    key = training_key(pairs, {**_request(settings), "strata": strata, "init_from": parent and parent.sha256})
    known = find_bundle(path, key)
    if known is not None:
        log.info("%s was trained on these pairs with these settings; it is used again", path)
        return known
    features = parent.plan.features if parent else features_of(settings.network)
    all_pairs = list({pair.visit: pair for pair in (*everyone, *pairs)}.values())
    with stored_pairs(pairs, features, settings.work / "group", memory_gb) as (stored, unusable):
        for pair, error in unusable.items():
            log.warning("%s is not learned from: %s", pair.visit, error)
        if settings.splits is not None:
            folds = read_folds(settings.splits, list(stored))
        else:
            folds = make_folds(list(stored), leave_one_out=settings.crossval, seed=settings.seed, strata=strata)
        start = choose_start(parent, folds, all_pairs) if parent else None
        # The precision is the computer's: another one that shares the work folder starts anew.
        checkpoints = settings.work / "checkpoints" / f"{key}_{fabric._precision.precision}"
        make = partial(_tested, settings, stored, folds, fabric, checkpoints, start)
        plan, baseline = kept_plans(checkpoints, make)
        rival = f" and {baseline.network}" if baseline else ""
        log.info("training %d folds of %s%s", len(folds), plan.network, rival)
        log.info("plan: %s", json.dumps(plan_to_json(plan)))
        with _training_bar(len(folds), plan, baseline) as on_step:
            return train_bundle(
                path,
                all_pairs,
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


def _request(settings: Settings) -> dict[str, Any]:
    """Return what a training depends on besides its images."""
    from bidsapp.synthesis.bundle import file_sha256

    data = ("source", "target", "reference", "normalization", "crossval", "axial_range")
    training = ("network", "norm", "loss", "augmentation", "ema", "lr", "baseline", "seed", "sloppy", "device")
    length = ("max_minutes", "max_steps", "epochs")
    values = {name: getattr(settings, name) for name in (*data, *training, *length)}
    splits = settings.splits and file_sha256(settings.splits)
    return {**values, "splits": splits, "version": __version__}


def _plans(settings: Settings, folds: int, fabric: Fabric, start: Start | None = None) -> tuple[Plan, Plan | None]:
    from bidsapp.synthesis.finetuning import continued
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

    asked = {"loss": settings.loss, "augmentation": settings.augmentation, "averaging": settings.ema}
    mine = plan(settings.network, learning_rate=rate, **asked)
    mine = continued(mine, start.bundle.plan, rate) if start else size_to_minutes(mine, fabric)
    return mine, plan(BASELINE) if baseline else None


def _tested(
    settings: Settings,
    stored: Mapping[Pair, TrainingVolume],
    folds: Sequence[Fold],
    fabric: Fabric,
    checkpoints: Path,
    start: Start | None = None,
) -> tuple[Plan, Plan | None]:
    """Return the plans, with a learning rate found on what the first fold learns from where that was asked for."""
    from bidsapp.synthesis.rates import RATES_FILE, find_rate

    plan, baseline = _plans(settings, len(folds), fabric, start)
    if settings.lr == "auto":
        volumes = [volume for pair, volume in stored.items() if pair.participant not in folds[0].held_out]
        plan, test = find_rate(volumes, plan, fabric, start.weights(0) if start else None)
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

"""What is settled before a training: whom it holds out, what it reads, where it starts, and its plan."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.bids import names
from bidsapp.bids.leftovers import own_folder
from bidsapp.bids.participants import TABLE, column_of
from bidsapp.bids.sink import write_text
from bidsapp.errors import UsageError
from bidsapp.settings import MAX_MINUTES
from bidsapp.synthesis.overrides import overridden, read_overrides

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lightning_fabric import Fabric

    from bidsapp.errors import DataError
    from bidsapp.records import Identity, Pair, Plan
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.finetuning import Start
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.sampling import TrainingVolume

log = logging.getLogger(__name__)

# Of the minutes given to the whole group level; the rest is for predicting and measuring.
TRAINING_SHARE = 0.6
SLOPPY_STEPS = 20
SLOPPY_PATCH = 24


def goal_of(settings: Settings, pairs: Sequence[Pair], parent: Bundle | None) -> tuple[Path, str]:
    """Return the folder of the bundle that a training on these pairs makes, and its key."""
    from bidsapp.synthesis.ensemble import training_key

    path = settings.output_dir / names.bundle(settings.source, settings.target, settings.network)
    start, strata = parent and parent.sha256, strata_of(settings)
    if strata is not None:  # a new participant without a target asks for no new training
        learned = {pair.participant for pair in pairs if pair.target is not None}
        strata = {participant: value for participant, value in strata.items() if participant in learned}
    return path, training_key(pairs, {**request(settings), "strata": strata, "init_from": start})


def request(settings: Settings) -> dict[str, Any]:
    """Return what a training depends on besides its images."""
    from bidsapp.synthesis.seal import file_sha256

    data = ("source", "allow_missing_source", "target", "reference", "normalization", "crossval", "axial_range")
    shown = ("input_mode", "slice_axis")
    training = ("network", "norm", "loss", "ema", "lr", "baseline", "seed", "sloppy", "device")
    patches = ("augmentation", "sampling")
    length = ("max_minutes", "max_steps", "epochs")
    values = {name: getattr(settings, name) for name in (*data, *shown, *training, *patches, *length)}
    splits = settings.splits and file_sha256(settings.splits)
    # Sums come out otherwise where they are shared.
    shared = {"processes": settings.processes} if settings.processes > 1 else {}
    # A bundle from when arrays were read as files store them sees others' brains mirrored: it is trained anew.
    fixed = {"axes": "RAS", "version": __version__}
    return {**values, **shared, **fixed, "plan": sorted(settings.plan), "splits": splits}


def minutes_of(settings: Settings) -> float | None:
    """Return the minutes that were asked for; ``None`` where a training is ended by its steps or epochs alone."""
    counted = settings.max_steps or settings.epochs or settings.sloppy
    return settings.max_minutes or (None if counted else MAX_MINUTES)


def strata_of(settings: Settings) -> dict[str, str] | None:
    """Return participant → value in which folds shall be alike, ``None`` where nothing was asked for."""
    return column_of(settings.output_dir, settings.stratify) if settings.stratify else None


def folds_of(settings: Settings, pairs: Sequence[Pair], everyone: Sequence[Identity] = ()) -> tuple[Fold, ...]:
    """Return the folds of the pairs that are learned from: those of a table, or new ones.

    `everyone`: other visits by which it is known who shares a scan.
    """
    from bidsapp.synthesis.folds import make_folds, read_folds
    from bidsapp.synthesis.presence import check_learned

    if settings.splits is not None:
        folds = read_folds(settings.splits, pairs, everyone)
    else:
        strata = strata_of(settings)
        if strata is not None:
            _check_strata(settings, strata, pairs)
        folds = make_folds(
            pairs, leave_one_out=settings.crossval, seed=settings.seed, strata=strata, everyone=everyone
        )
    if settings.init_from is None:  # else its networks have learned of every source before
        check_learned(pairs, folds, settings.source)
    return folds


def _check_strata(settings: Settings, strata: Mapping[str, str], pairs: Sequence[Pair]) -> None:
    """Name who has no value in the column that folds are balanced by; that nobody has one is an error."""
    learned = sorted({pair.participant for pair in pairs if pair.target is not None})
    without = [participant for participant in learned if strata.get(participant, "n/a") == "n/a"]
    if without and without == learned:
        table = settings.output_dir / TABLE
        raise UsageError(
            f"--stratify {settings.stratify}: nobody who is learned from has a value in {table}",
            "fill in that of the raw dataset, and run the participant level with --stratify again",
        )
    if without:
        log.warning("--stratify %s: no value of %s", settings.stratify, ", ".join(without))


def start_of(parent: Bundle | None, folds: Sequence[Fold], everyone: Sequence[Identity]) -> Start | None:
    """Return where the trainings of all folds start; ``None``: with new networks."""
    from bidsapp.synthesis.finetuning import choose_start

    return choose_start(parent, folds, everyone) if parent else None


def features_asked(settings: Settings, parent: Bundle | None = None) -> tuple[str, ...]:
    """Return the feature channels that the network reads besides the sources."""
    from bidsapp.synthesis.plan import features_of

    if parent:
        return parent.plan.features
    return tuple(read_overrides(settings.plan).get("features", features_of(settings.network)))


def checkpoints_of(settings: Settings, key: str, fabric: Fabric) -> Path:
    """Return the folder of the checkpoints of a training, which its key names."""
    # The precision is the computer's: another one that shares the work folder starts anew.
    return settings.work / "checkpoints" / f"{key}_{fabric._precision.precision}"


@contextmanager
def arrays_of(
    settings: Settings, pairs: Sequence[Pair], features: Sequence[str], memory_gb: float, *, presence: bool
) -> Iterator[tuple[dict[Pair, TrainingVolume], dict[Pair, DataError]]]:
    """Make the training arrays of pairs, streamed from a folder that no other run has; see `stored_pairs`."""
    from bidsapp.synthesis.ensemble import stored_pairs

    with (
        own_folder(settings.work, "group-") as folder,
        stored_pairs(pairs, features, folder, memory_gb, presence=presence) as arrays,
    ):
        yield arrays


def plans_of(
    settings: Settings,
    folds: int,
    fabric: Fabric,
    extents: Sequence[int] | None = None,
    start: Start | None = None,
) -> tuple[Plan, Plan | None]:
    """Return the plan of a training, sized to its minutes, and the baseline's where there is one.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    folds : int
        Number of trainings.
    fabric : Fabric
        Device and precision.
    extents : sequence of int or None
        Voxels of the largest volume along left-right, back-front and down-up, where steps show all of it.
    start : Start or None
        Where the trainings start.
    """
    from bidsapp.synthesis.plan import BASELINE
    from bidsapp.synthesis.ranks import filled
    from bidsapp.synthesis.sizing import size_to_minutes

    baseline = settings.baseline and settings.network != BASELINE
    minutes = minutes_of(settings)
    if minutes is not None and not settings.crossval:
        minutes *= TRAINING_SHARE / (folds * (2 if baseline else 1))
    own = read_overrides(settings.plan)
    minutes = own.get("minutes", minutes)  # of one training: the two networks are compared at the same
    precision = str(fabric._precision.precision)
    before = start.bundle.plan if start else None
    mine = filled(asked_plan(settings, minutes, precision, extents, before), fabric.world_size)
    rival = filled(_recipe(settings, BASELINE, minutes, precision), fabric.world_size) if baseline else None
    return mine if start else size_to_minutes(mine, fabric, fixed=own), rival


def asked_plan(
    settings: Settings,
    minutes: float | None,
    precision: str,
    extents: Sequence[int] | None = None,
    before: Plan | None = None,
) -> Plan:
    """Return the plan that settings ask for, before it is sized.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    minutes : float or None
        Time of one training.
    precision : str
        As Lightning Fabric names it.
    extents : sequence of int or None
        See `plans_of`.
    before : Plan or None
        That of the networks that are trained further.
    """
    from bidsapp.synthesis.finetuning import continued

    rate = None if settings.lr in {None, "auto"} else float(settings.lr)
    plan = _recipe(
        settings,
        settings.network,
        minutes,
        precision,
        norm=settings.norm,
        learning_rate=rate,
        loss=settings.loss,
        augmentation=settings.augmentation,
        sampling=settings.sampling,
        averaging=settings.ema,
        sources_may_miss=settings.allow_missing_source,
        input_mode=settings.input_mode,
        slice_axis=settings.slice_axis,
        extents=extents,
    )
    if before:
        plan = continued(plan, before, rate)
    return overridden(plan, read_overrides(settings.plan))


def _recipe(settings: Settings, network: str, minutes: float | None, precision: str, **asked: Any) -> Plan:
    """Return a network's recipe with what all networks of a run share."""
    from bidsapp.synthesis.plan import make_plan

    sloppy_steps = SLOPPY_STEPS if settings.sloppy and settings.epochs is None else None
    return make_plan(
        network,
        sources=settings.source,
        target=settings.target,
        minutes=minutes,
        max_steps=settings.max_steps or sloppy_steps,
        epochs=settings.epochs,
        precision=precision,
        seed=settings.seed,
        patch=SLOPPY_PATCH if settings.sloppy else None,
        **asked,
    )


def settled_plans(
    settings: Settings,
    stored: Mapping[Pair, TrainingVolume],
    folds: Sequence[Fold],
    fabric: Fabric,
    checkpoints: Path,
    start: Start | None = None,
) -> tuple[Plan, Plan | None]:
    """Return the plans, with a learning rate found on what the first fold learns from where that was asked for."""
    from bidsapp.synthesis.modes import WHOLE, largest
    from bidsapp.synthesis.rates import RATES_FILE, find_rate

    extents = largest(list(stored.values())) if settings.input_mode in WHOLE else None
    plan, baseline = plans_of(settings, len(folds), fabric, extents, start)
    if settings.lr == "auto":
        volumes = [volume for pair, volume in stored.items() if pair.participant not in folds[0].held_out]
        plan, test = find_rate(volumes, plan, fabric, start.weights(0) if start else None)
        log.info("a range test of %d steps chose the learning rate %.3g", len(test.rates), test.chosen)
        write_text(test.to_tsv(), checkpoints / RATES_FILE)
    return plan, baseline

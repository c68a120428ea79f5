"""From pairs to a bundle: the fold models are the ensemble."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import logging
import resource
import shutil
from contextlib import contextmanager, suppress
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsapp.errors import DataError
from bidsapp.scales import scale_from_json
from bidsapp.synthesis import axial
from bidsapp.synthesis.bundle import read_bundle, write_bundle
from bidsapp.synthesis.card import METRICS_FILE
from bidsapp.synthesis.crossfit import FLOOR, cross_fit
from bidsapp.synthesis.finetuning import earlier_splits
from bidsapp.synthesis.metrics import Agreement
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.rates import RATES_FILE
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.seal import file_sha256
from bidsapp.synthesis.splits import Split
from bidsapp.synthesis.statistics import by_participant
from bidsapp.synthesis.trust import fit_trust
from bidsapp.synthesis.uncertainty import Calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lightning_fabric import Fabric

    from bidsapp.records import Identity, Pair, Plan
    from bidsapp.scales import Population, Scale
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.crossfit import Measurement
    from bidsapp.synthesis.finetuning import Start
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.manifest import Images
    from bidsapp.synthesis.run import Step
    from bidsapp.synthesis.training import Trained

log = logging.getLogger(__name__)

# Of the memory granted, for the arrays that are learned from; the rest is for networks, gradients and predictions.
MEMORY_SHARE = 0.25
HISTORY_FILE = "history.tsv"


def training_key(pairs: Sequence[Pair], request: dict[str, Any]) -> str:
    """Return a hash of everything that a training depends on: the images' bytes and what was asked for.

    Parameters
    ----------
    pairs : sequence of Pair
        Visits; those without a target do not count, so that a new one does not ask for new training.
    request : dict
        Settings and versions that shape the training; plain JSON types.
    """
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
    for pair in sorted(pairs, key=lambda pair: pair.visit):
        if pair.target is None:
            continue
        digest.update(f"{pair.visit} {pair.participant} {pair.fingerprint}".encode())
        for path in (*pair.sources, pair.mask, pair.target, pair.target_mask):
            digest.update(b"-" if path is None or not path.is_file() else file_sha256(path).encode())
    return digest.hexdigest()


def find_bundle(path: Path, key: str) -> Bundle | None:
    """Return the bundle in a folder if it is whole and was trained with this key."""
    try:
        bundle = read_bundle(path)
    except DataError:
        return None
    return bundle if bundle.training_key == key else None


@contextmanager
def stored_pairs(
    pairs: Sequence[Pair],
    features: Sequence[str],
    folder: Path,
    memory_gb: float = 0.0,
    *,
    presence: bool = False,
) -> Iterator[tuple[dict[Pair, TrainingVolume], dict[Pair, DataError]]]:
    """Make the training arrays of all pairs with a target, for as long as the block lasts.

    They are held in memory as long as a quarter of it has room for them; further ones are streamed from disk.

    Parameters
    ----------
    pairs : sequence of Pair
        Visits; those without a target do not count.
    features : sequence of str
        Feature channels that the network reads.
    folder : Path
        Where to store those that are streamed; gone afterwards.
    memory_gb : float
        Memory that the run may use, GB.
    presence : bool
        Whether the network reads which sources are there; see `load_volume`.

    Yields
    ------
    dict of Pair to TrainingVolume, dict of Pair to DataError
        What can be learned from, and what cannot and why.
    """
    stored: dict[Pair, TrainingVolume] = {}
    unusable: dict[Pair, DataError] = {}
    held = streamed = 0.0
    try:
        for pair in pairs:
            if pair.target is None:
                continue
            try:
                volume = TrainingVolume.hold(load_volume(pair, features, presence=presence))
            except DataError as error:
                unusable[pair] = error
                continue
            if held + volume.gigabytes <= MEMORY_SHARE * memory_gb:
                stored[pair] = volume
                held += volume.gigabytes
            else:
                _keep_many_files_open()
                stored[pair] = volume.streamed(folder / pair.visit)
                streamed += volume.gigabytes
        log.info("training arrays: %.3g GB in memory, %.3g GB streamed from %s", held, streamed, folder)
        yield stored, unusable
    finally:
        stored.clear()  # closes the memory maps before their files go
        shutil.rmtree(folder, ignore_errors=True)


def _keep_many_files_open() -> None:
    """Let this process have as many files open as the system allows: each volume that is streamed is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def train_bundle(
    path: Path,
    everyone: Sequence[Identity],
    stored: Mapping[Pair, TrainingVolume],
    folds: Sequence[Fold],
    plan: Plan,
    baseline: Plan | None,
    *,
    images: Images,
    key: str,
    version: str,
    fabric: Fabric,
    on_step: Callable[[Fold, Plan, Step], object],
    checkpoints: Path,
    population: Population | None = None,
    start: Start | None = None,
) -> Bundle:
    """Train one network for each fold and write the bundle, with what it and the baselines reached beside it.

    Parameters
    ----------
    path : Path
        Folder of the bundle.
    everyone : sequence of Identity
        All visits.
    stored : mapping of Pair to TrainingVolume
        Those to learn from; see `stored_pairs`.
    folds : sequence of Fold
        From `make_folds`.
    plan, baseline : Plan
        See `cross_fit`.
    images : Images
        What `stored` is like.
    key, version : str
        See `Bundle`.
    fabric : Fabric
        Device and precision.
    on_step : callable
        Called after every step.
    checkpoints : Path
        Folder of the checkpoints and, where there was one, of the learning rate range test; gone afterwards.
    population : Population or None
        See `Bundle`.
    start : Start or None
        See `cross_fit`.

    Returns
    -------
    Bundle
    """
    fit = cross_fit(stored, folds, plan, baseline, fabric, on_step, checkpoints, start)
    splits = make_splits(everyone, {pair.visit for pair in stored}, folds)
    tested = checkpoints / RATES_FILE
    bundle = write_bundle(
        path,
        plan,
        images,
        [trained.network for trained in fit.trained],
        cohort_scale(list(stored)),
        splits,
        Calibration(fit.residuals),
        training_key=key,
        version=version,
        extra={
            METRICS_FILE: _metrics_table(fit.measured, {pair.visit: pair.axial_range for pair in stored}),
            HISTORY_FILE: _history_table(fit.trained),
            **({RATES_FILE: tested.read_text(encoding="utf-8")} if tested.is_file() else {}),
        },
        population=population,
        origin=start.origin if start else None,
        earlier=earlier_splits(start, splits) if start else (),
        sloppy=any(pair.sloppy for pair in stored),
        trust=fit_trust(fit.signatures, _errors(fit.measured, plan.network, stored)),
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    return bundle


def _errors(measured: Sequence[Measurement], network: str, pairs: Iterable[Pair]) -> tuple[float, float]:
    """Return the mean absolute errors of a network and of the floor, averaged over participants."""
    whose = {pair.visit: pair.participant for pair in pairs}
    ours, floor = (
        by_participant([(whose[m.visit], m.agreement.mae) for m in measured if m.network == model])
        for model in (network, FLOOR)
    )
    return fmean(ours.values()), fmean(floor.values())


def cohort_scale(pairs: Sequence[Pair]) -> Scale:
    """Return the median intensity scale of the targets: what a predicted image's intensities are counted in."""
    contents = [pair.target_scale.to_json() for pair in pairs if pair.target_scale is not None]
    (method,) = {
        content.pop("Method") for content in contents
    }  # others were left out: units of two scales do not mix
    middle = {name: np.median([content[name] for content in contents], axis=0).tolist() for name in contents[0]}
    return scale_from_json({"Method": method, **middle})


def make_splits(everyone: Iterable[Identity], learned: Container[str], folds: Sequence[Fold]) -> list[Split]:
    """List every visit of the training participants, with the fold that held the participant out.

    `learned`: the labels of those whose target was learned from.
    """
    fold_of = {participant: fold.number for fold in folds for participant in fold.held_out}
    return [
        Split(one.visit, one.participant, fold_of[one.participant], one.visit in learned, one.fingerprint)
        for one in sorted(everyone, key=lambda one: one.visit)
        if one.participant in fold_of
    ]


def _metrics_table(measured: Sequence[Measurement], ranges: Mapping[str, tuple[float, float] | None]) -> str:
    """Return a row for each visit and model; `ranges`: where each visit was measured."""
    measures = [field.name for field in dataclasses.fields(Agreement)]
    rows = [
        [m.visit, m.fold, m.network, m.steps, where, *("n/a" if v is None else f"{v:.6g}" for v in values)]
        for m in measured
        for where, values in [(axial.cell(ranges[m.visit]), m.agreement.to_json().values())]
    ]
    return _tsv([["visit", "fold", "network", "steps", axial.COLUMN, *measures], *rows])


def _history_table(trained: Sequence[Trained]) -> str:
    rows = [
        [fold, step.number, f"{step.loss:.6g}"]
        for fold, training in enumerate(trained)
        for step in training.history
    ]
    return _tsv([["fold", "step", "loss"], *rows])  # no seconds: the same training is to leave the same bytes


def _tsv(rows: Sequence[Sequence[object]]) -> str:
    import io

    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    return text.getvalue()

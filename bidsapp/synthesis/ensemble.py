"""From pairs to a bundle: the fold models are the ensemble."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import shutil
from statistics import median
from typing import TYPE_CHECKING, Any

from bidsapp.records import IntensityScale
from bidsapp.synthesis.bundle import Split, read_bundle, write_bundle
from bidsapp.synthesis.crossfit import cross_fit
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.sampling import TrainingVolume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lightning_fabric import Fabric

    from bidsapp.records import Pair, Plan
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.crossfit import Measurement
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.training import Step, Trained

METRICS_FILE = "metrics.tsv"
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
            digest.update(b"-" if path is None else file_sha256(path).encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_bundle(path: Path, key: str) -> Bundle | None:
    """Return the bundle in a folder if it is whole and was trained with this key."""
    from bidsapp.errors import DataError

    try:
        bundle = read_bundle(path)
    except DataError:
        return None
    return bundle if bundle.training_key == key else None


def train_bundle(
    path: Path,
    pairs: Sequence[Pair],
    folds: Sequence[Fold],
    plan: Plan,
    baseline: Plan | None,
    *,
    key: str,
    version: str,
    cache: Path,
    fabric: Fabric,
    on_step: Callable[[Fold, Plan, Step], object],
) -> Bundle:
    """Train one network for each fold and write the bundle, with what the baselines reached beside it.

    Parameters
    ----------
    path : Path
        Folder of the bundle.
    pairs : sequence of Pair
        All visits; those with a target are learned from.
    folds : sequence of Fold
        From `make_folds`.
    plan, baseline : Plan
        See `cross_fit`.
    key, version : str
        See `Bundle`.
    cache : Path
        Folder for training arrays; emptied afterwards.
    fabric : Fabric
        Device and precision.
    on_step : callable
        Called after every step.

    Returns
    -------
    Bundle
    """
    edge = max(plan.patch, baseline.patch if baseline else 0)
    with_target = [pair for pair in pairs if pair.target is not None]
    stored = {
        pair: TrainingVolume.store(load_volume(pair, plan), cache / pair.visit, edge) for pair in with_target
    }
    fit = cross_fit(stored, folds, plan, baseline, fabric, on_step)
    bundle = write_bundle(
        path,
        plan,
        [trained.network for trained in fit.trained],
        cohort_scale(with_target),
        make_splits(pairs, folds),
        training_key=key,
        version=version,
        extra={
            METRICS_FILE: _metrics_table(fit.baselines),
            HISTORY_FILE: _history_table(fit.trained),
        },
    )
    del stored  # closes the memory maps before their files go
    shutil.rmtree(cache, ignore_errors=True)
    return bundle


def cohort_scale(pairs: Sequence[Pair]) -> IntensityScale:
    """Return the median intensity scale of the targets: what a predicted image's intensities are counted in."""
    scales = [pair.target_scale for pair in pairs if pair.target_scale is not None]
    methods = sorted({scale.method for scale in scales})
    return IntensityScale(
        method="+".join(methods),
        offset=float(median(scale.offset for scale in scales)),
        scale=float(median(scale.scale for scale in scales)),
    )


def make_splits(pairs: Sequence[Pair], folds: Sequence[Fold]) -> list[Split]:
    """List every visit of the training participants, with the fold that held the participant out."""
    fold_of = {participant: fold.number for fold in folds for participant in fold.held_out}
    return [
        Split(pair.visit, pair.participant, fold_of[pair.participant], pair.target is not None, pair.fingerprint)
        for pair in sorted(pairs, key=lambda pair: pair.visit)
        if pair.participant in fold_of
    ]


def _metrics_table(measured: Sequence[Measurement]) -> str:
    rows = [
        [m.visit, m.fold, m.network, m.steps, *(f"{v:.6g}" for v in dataclasses.astuple(m.agreement))]
        for m in measured
    ]
    return _tsv([["visit", "fold", "network", "steps", "mae", "psnr", "ssim", "data_range"], *rows])


def _history_table(trained: Sequence[Trained]) -> str:
    rows = [
        [fold, step.number, f"{step.seconds:.3f}", f"{step.loss:.6g}"]
        for fold, training in enumerate(trained)
        for step in training.history
    ]
    return _tsv([["fold", "step", "seconds", "loss"], *rows])


def _tsv(rows: Sequence[Sequence[object]]) -> str:
    import io

    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    return text.getvalue()

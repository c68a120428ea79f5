"""What is settled before a training: whom it holds out, what it reads, and where it goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp.bids.participants import column_of
from bidsapp.synthesis.overrides import read_overrides

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lightning_fabric import Fabric

    from bidsapp.records import Pair
    from bidsapp.settings import Settings
    from bidsapp.synthesis.folds import Fold


def strata_of(settings: Settings) -> dict[str, str] | None:
    """Return participant → value in which folds shall be alike, ``None`` where nothing was asked for."""
    return column_of(settings.output_dir, settings.stratify) if settings.stratify else None


def folds_of(settings: Settings, pairs: Sequence[Pair]) -> tuple[Fold, ...]:
    """Return the folds of the pairs that are learned from: those of a table, or new ones."""
    from bidsapp.synthesis.folds import make_folds, read_folds
    from bidsapp.synthesis.presence import check_learned

    if settings.splits is not None:
        folds = read_folds(settings.splits, pairs)
    else:
        strata = strata_of(settings)
        folds = make_folds(pairs, leave_one_out=settings.crossval, seed=settings.seed, strata=strata)
    check_learned(pairs, folds, settings.source)
    return folds


def features_asked(settings: Settings) -> tuple[str, ...]:
    """Return the feature channels that the network reads besides the sources."""
    from bidsapp.synthesis.plan import features_of

    return tuple(read_overrides(settings.plan).get("features", features_of(settings.network)))


def checkpoints_of(settings: Settings, key: str, fabric: Fabric) -> Path:
    """Return the folder of the checkpoints of a training, which its key names."""
    # The precision is the computer's: another one that shares the work folder starts anew.
    return settings.work / "checkpoints" / f"{key}_{fabric._precision.precision}"

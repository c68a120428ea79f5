"""Cross-fitting: one training for each fold, measured beside the baselines on whom the fold held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bidsapp.synthesis.baselines import fit_floor, fit_forest, predict_floor, predict_forest
from bidsapp.synthesis.checkpoint import checkpoint_of
from bidsapp.synthesis.evaluation import measure
from bidsapp.synthesis.familiarity import unfamiliarity
from bidsapp.synthesis.inference import predict
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.signature import sign
from bidsapp.synthesis.training import Trained, train
from bidsapp.synthesis.uncertainty import Residuals, residuals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from lightning_fabric import Fabric
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bidsapp.records import Pair, Plan
    from bidsapp.synthesis.finetuning import Start
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.metrics import Agreement
    from bidsapp.synthesis.pairs import Volume
    from bidsapp.synthesis.run import Step
    from bidsapp.synthesis.sampling import TrainingVolume
    from bidsapp.synthesis.signature import Signature

FLOOR = "floor"
FOREST = "forest"


@dataclass(frozen=True)
class Measurement:
    """Agreement of one visit's prediction with its acquired target.

    Attributes
    ----------
    visit : str
        Label.
    fold : int
        The fold that held the visit's participant out.
    network : str
        What predicted it; ``floor`` is the best global intensity map, ``forest`` a random forest on the
        3 × 3 × 3 voxels around each.
    steps : int
        Optimizer steps that its training reached.
    agreement : Agreement
        In normalized units.
    """

    visit: str
    fold: int
    network: str
    steps: int
    agreement: Agreement


@dataclass(frozen=True)
class CrossFit:
    """The trained network of every fold, and what it and the baselines reached on whom the fold held out.

    Attributes
    ----------
    trained : tuple of Trained
        One for each fold.
    measured : tuple of Measurement
        Of the networks and the baselines.
    residuals : tuple of Residuals
        Of each visit, predicted by the network that held it out.
    signatures : tuple of (str, Signature)
        Participant and signature of each of these.
    """

    trained: tuple[Trained, ...]
    measured: tuple[Measurement, ...]
    residuals: tuple[Residuals, ...]
    signatures: tuple[tuple[str, Signature], ...]


def cross_fit(
    pairs: Mapping[Pair, TrainingVolume],
    folds: Sequence[Fold],
    plan: Plan,
    baseline: Plan | None,
    fabric: Fabric,
    on_step: Callable[[Fold, Plan, Step], object],
    checkpoints: Path,
    start: Start | None = None,
) -> CrossFit:
    """Train every fold, and measure it and the baselines on the participants it held out.

    Parameters
    ----------
    pairs : mapping of Pair to TrainingVolume
        Visits that have the target.
    folds : sequence of Fold
        From `make_folds`.
    plan : Plan
        The network to train.
    baseline : Plan or None
        A second network to train on the same pairs for the same minutes, only to be measured.
    fabric : Fabric
        Device and precision.
    on_step : callable
        Called after every step of every training.
    checkpoints : Path
        Folder of the checkpoints, from which trainings that were begun go on.
    start : Start or None
        Where the networks start from; by default they are new, as the second one always is.

    Returns
    -------
    CrossFit
    """

    def fit(
        volumes: Sequence[TrainingVolume], fold: Fold, plan: Plan, weights: Mapping[str, Tensor] | None = None
    ) -> Trained:
        checkpoint = checkpoint_of(checkpoints, fold.number, plan.network)
        return train(volumes, plan, fabric, partial(on_step, fold, plan), checkpoint=checkpoint, weights=weights)

    def load(pair: Pair) -> Volume:
        """Visits are loaded one by one, each time anew: what was held out would outweigh the training arrays."""
        return load_volume(pair, plan.features, presence=plan.sources_may_miss)

    trained: list[Trained] = []
    measured: list[Measurement] = []
    left: list[Residuals] = []
    signatures: list[tuple[str, Signature]] = []
    for fold in folds:
        training = [volume for pair, volume in pairs.items() if pair.participant not in fold.held_out]
        held_out = [pair for pair in pairs if pair.participant in fold.held_out]
        ours = fit(training, fold, plan, start.weights(fold.number) if start else None)
        trained.append(ours)
        for pair in held_out:
            measurement, errors, signature = _assess(load(pair), ours, plan, fold, fabric)
            measured.append(measurement)
            left.append(errors)
            signatures.append((pair.participant, signature))
        for name, regression in _regressions(training, plan):
            measured += [_measurement(load(pair), regression, plan, fold, name, 0) for pair in held_out]
        if baseline is not None:
            rival = fit(training, fold, baseline)
            image = partial(_image, rival.network, baseline, fabric)
            name, steps = baseline.network, rival.steps
            measured += [_measurement(load(pair), image, baseline, fold, name, steps) for pair in held_out]
    return CrossFit(tuple(trained), tuple(measured), tuple(left), tuple(signatures))


def _assess(
    volume: Volume, trained: Trained, plan: Plan, fold: Fold, fabric: Fabric
) -> tuple[Measurement, Residuals, Signature]:
    """Measure the fold's network on a visit that it has not seen."""
    predicted = predict([trained.network], volume, plan, fabric)
    measurement = _measurement(volume, lambda _: predicted.image, plan, fold, plan.network, trained.steps)
    distance = unfamiliarity([trained.network], volume, plan, fabric)
    signature = sign(volume, plan, predicted, unfamiliarity=distance)
    return measurement, residuals(volume, predicted, fold.number), signature


def _image(network: nn.Module, plan: Plan, fabric: Fabric, volume: Volume) -> NDArray[np.float32]:
    return predict([network], volume, plan, fabric).image


def _regressions(
    training: Sequence[TrainingVolume], plan: Plan
) -> Iterator[tuple[str, Callable[[Volume], NDArray[np.float32]]]]:
    """Fit the regressions to the visits that the network learned from, one after the other."""
    import torch

    sources = len(plan.sources)
    floor = fit_floor(training, sources, plan.seed)
    yield FLOOR, lambda volume: predict_floor(floor, volume, sources)
    forest = fit_forest(training, sources, plan.seed, torch.get_num_threads())
    yield FOREST, lambda volume: predict_forest(forest, volume, sources)


def _measurement(
    volume: Volume,
    image_of: Callable[[Volume], NDArray[np.float32]],
    plan: Plan,
    fold: Fold,
    network: str,
    steps: int,
) -> Measurement:
    result = measure(volume, image_of(volume), plan)
    if result is None:
        raise ValueError(f"{volume.pair.visit} has no target to measure against")
    return Measurement(volume.pair.visit, fold.number, network, steps, result)

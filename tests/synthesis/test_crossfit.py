"""What cross-fitting holds in memory."""

import dataclasses
import gc

import pytest

from bidsapp.synthesis import crossfit
from bidsapp.synthesis.folds import Fold
from bidsapp.synthesis.pairs import Volume, load_volume
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric


def alive():
    gc.collect()
    return sum(isinstance(thing, Volume) for thing in gc.get_objects())


def test_no_held_out_visit_is_in_memory_in_training_and_one_at_a_time_after_it(pairs, plan, tmp_path, monkeypatch):
    plan = dataclasses.replace(plan, max_steps=2)
    baseline = make_plan("seed-resnet", ("T1w",), "FLAIR", minutes=5, max_steps=2, precision="32-true", seed=0)
    baseline = dataclasses.replace(baseline, patch=(16, 16, 16), channels=(4,))
    stored = {pair: TrainingVolume.hold(load_volume(pair, plan.features)) for pair in pairs[:3]}
    folds = [Fold(0, frozenset({"sub-01", "sub-02"})), Fold(1, frozenset({"sub-03"}))]
    before = alive()
    training, measuring = [], []
    measure = crossfit.measure

    def count(*arguments):
        measuring.append(alive() - before)
        return measure(*arguments)

    monkeypatch.setattr(crossfit, "measure", count)
    fabric = make_fabric("cpu", "32-true")
    fit = crossfit.cross_fit(
        stored, folds, plan, baseline, fabric, lambda *_: training.append(alive() - before), tmp_path
    )
    assert training == [0] * 8  # two steps of two networks in two folds
    assert measuring == [1] * 12
    networks = ("unet", "floor", "forest", "seed-resnet")
    visits = [[f"sub-{n:02d}_ses-1" for n in fold] for fold in ((1, 2), (3,))]
    expected = [(visit, network) for fold in visits for network in networks for visit in fold]
    assert [(m.visit, m.network) for m in fit.measured] == expected


@pytest.mark.parametrize("masked", [True, False])
def test_the_cropped_arrays_of_a_volume_hold_no_whole_image(pairs, plan, masked):
    pair = pairs[0] if masked else dataclasses.replace(pairs[0], target_mask=None)
    volume = load_volume(pair, plan.features)
    assert volume.target.base is None
    assert volume.mask.base is None
    assert volume.loss_mask.base is None

"""Sources that a visit may lack."""

import dataclasses

import numpy as np
import pytest
import torch

from bidsapp.errors import NoInputError
from bidsapp.synthesis.cases import cases, times_larger
from bidsapp.synthesis.checkpoint import Checkpoint
from bidsapp.synthesis.crossfit import cross_fit
from bidsapp.synthesis.evaluation import measure
from bidsapp.synthesis.folds import Fold
from bidsapp.synthesis.inference import predict
from bidsapp.synthesis.pairs import AIR, load_volume
from bidsapp.synthesis.plan import make_plan, plan_from_json, plan_to_json
from bidsapp.synthesis.presence import check_learned, drop_sources, used_and_missing
from bidsapp.synthesis.sampling import Batch, TrainingVolume
from bidsapp.synthesis.training import make_fabric, train

FABRIC = make_fabric("cpu", "32-true")
LIMITS = {"minutes": 5, "max_steps": 4, "precision": "32-true", "seed": 0}
PLAN = make_plan("unet", ("T1w", "T2w"), "FLAIR", patch=16, sources_may_miss=True, **LIMITS)


@pytest.fixture
def visits(pairs):
    """Four visits with a target: two have both sources, one the first and one the second."""
    (one, two, three, _), other = pairs, pairs[3].sources[0]
    return [
        dataclasses.replace(one, sources=(*one.sources, other)),
        dataclasses.replace(two, sources=(*two.sources, other)),
        dataclasses.replace(three, sources=(*three.sources, None)),
        dataclasses.replace(one, visit="sub-09", participant="sub-09", sources=(None, other)),
    ]


@pytest.fixture
def stored(visits, tmp_path):
    volumes = {pair: load_volume(pair, PLAN.features, presence=True) for pair in visits}
    return {pair: TrainingVolume.store(volume, tmp_path / pair.visit) for pair, volume in volumes.items()}


def batch_of(patches, present):
    """Return patches of two sources, two presence channels and a feature, half of each outside the brain."""
    inputs = torch.full((patches, 5, 4, 4, 4), 1.0)
    inputs[:, :2] = 5 + torch.rand(patches, 2, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    inputs *= torch.tensor([*present, *present, 1.0])[:, None, None, None]
    inputs[..., 2:] = 0
    target = torch.ones(patches, 1, 4, 4, 4)
    return Batch(inputs, target, target, 0)


def test_patches_lose_sources_but_never_the_last():
    batch = batch_of(4500, (1.0, 1.0))
    before = batch.inputs.clone()
    dropped = drop_sources(batch, 2, torch.Generator().manual_seed(0))
    assert torch.equal(batch.inputs, before)
    presence = dropped.inputs[:, 2:4, 0, 0, 0]
    assert set(presence.unique().tolist()) == {0.0, 1.0}
    assert presence.amax(1).min() == 1
    assert presence.prod(1).sum().item() == 1500  # exactly: chance is stratified
    assert (1 - presence).sum(0).tolist() == [1500] * 2
    kept = presence[..., None, None, None] > 0
    assert torch.equal(dropped.inputs[:, :2], torch.where(kept, before[:, :2], AIR * before[:, 2:4]))
    few = drop_sources(batch_of(6, (1.0, 1.0)), 2, torch.Generator().manual_seed(1)).inputs[:, 2:4, 0, 0, 0]
    assert sorted(few.tolist()) == [[0, 1], [0, 1], [1, 0], [1, 0], [1, 1], [1, 1]]
    assert torch.equal(dropped.inputs[:, 4], before[:, 4])
    assert dropped.inputs[..., 2:].abs().max() == 0
    again = drop_sources(batch, 2, torch.Generator().manual_seed(0))
    assert torch.equal(again.inputs, dropped.inputs)


def test_the_only_source_of_a_visit_is_kept():
    batch = batch_of(200, (0.0, 1.0))
    dropped = drop_sources(batch, 2, torch.Generator().manual_seed(0)).inputs
    assert torch.equal(dropped[:, 1:], batch.inputs[:, 1:])
    assert torch.equal(dropped[:, 0], AIR * batch.inputs[:, 3])


def test_of_three_sources_every_choice_is_met():
    inputs = torch.ones(700, 6, 1, 1, 1)
    batch = Batch(inputs, inputs[:, :1], inputs[:, :1], 0)
    found = drop_sources(batch, 3, torch.Generator().manual_seed(0)).inputs[:, 3:, 0, 0, 0]
    choices, counts = found.unique(dim=0, return_counts=True)
    assert len(choices) == 7  # all but none
    assert counts.tolist() == [100] * 7
    assert sorted(choices.bool().tolist()) == sorted(map(list, cases(3)))


def test_a_missing_source_is_the_median_and_said_to_be_missing(visits):
    assert PLAN.inputs == 2 + 2 + 5
    whole, first, second = (load_volume(visits[n], PLAN.features, presence=True) for n in (0, 2, 3))
    for volume, present in ((whole, (1, 1)), (first, (1, 0)), (second, (0, 1))):
        assert volume.inputs.shape == (9, *volume.mask.shape)
        for place, there in enumerate(present):
            assert np.array_equal(volume.inputs[2 + place], volume.mask * np.float32(there))
            constant = np.array_equal(volume.inputs[place], np.float32(AIR) * volume.mask)
            assert constant is not bool(there)
        assert np.array_equal(volume.inputs[4:], whole.inputs[4:])
    assert whole.inputs[0][whole.mask].mean() == pytest.approx(AIR, abs=0.1)
    assert np.array_equal(second.inputs[1], whole.inputs[1])
    without = load_volume(visits[3], PLAN.features)
    assert np.array_equal(without.inputs, np.delete(second.inputs, (2, 3), axis=0))


def test_what_is_used_and_what_is_missing(visits):
    assert [used_and_missing(pair, PLAN) for pair in visits[1:]] == [
        (("T1w", "T2w"), ()),
        (("T1w",), ("T2w",)),
        (("T2w",), ("T1w",)),
    ]
    assert visits[3].present == visits[3].sources[1:]


def test_a_plan_says_whether_sources_may_miss():
    assert plan_from_json(plan_to_json(PLAN), "x") == PLAN
    assert PLAN.sources_may_miss
    other = make_plan("unet", ("T1w", "T2w"), "FLAIR", **LIMITS)
    assert not other.sources_may_miss
    assert other.inputs == 7


@pytest.mark.parametrize(("sources", "times"), [(1, 1), (2, 3), (3, 7), (4, 8)])
def test_a_step_has_patches_for_every_case(sources, times):
    names = [f"c{n}" for n in range(sources)]
    alone, some = (make_plan("unet", names, "FLAIR", sources_may_miss=may, **LIMITS) for may in (False, True))
    assert times_larger(sources) == times
    assert some.batch == alone.batch * times
    whole = make_plan(
        "unet", names, "FLAIR", input_mode="volumes", extents=(9, 9, 9), sources_may_miss=True, **LIMITS
    )
    assert whole.batch == 1


@pytest.mark.parametrize("augmentation", ["none", "intensity", "physics"])
def test_a_killed_training_ends_as_one_that_was_not(stored, tmp_path, augmentation):
    plan = dataclasses.replace(PLAN, augmentation=augmentation)
    whole = train(list(stored.values()), plan, FABRIC)

    def kill(step):
        if step.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(list(stored.values()), plan, FABRIC, kill, checkpoint=Checkpoint(tmp_path / "c.pt", every=0))
    resumed = train(list(stored.values()), plan, FABRIC, checkpoint=Checkpoint(tmp_path / "c.pt"))
    assert [step.loss for step in resumed.history] == [step.loss for step in whole.history]
    weights = resumed.network.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole.network.state_dict().items())
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_every_case_is_predicted_and_measured_beside_the_baselines(stored, visits, tmp_path):
    baseline = make_plan("seed-resnet", ("T1w", "T2w"), "FLAIR", patch=16, **LIMITS)
    baseline = dataclasses.replace(baseline, channels=(4,))
    folds = [Fold(0, frozenset({"sub-01", "sub-03"})), Fold(1, frozenset({"sub-02", "sub-09"}))]
    fit = cross_fit(stored, folds, PLAN, baseline, FABRIC, lambda *_: None, tmp_path / "checkpoints")
    measured = [(m.visit, m.network) for m in fit.measured]
    assert sorted(measured) == sorted(
        (pair.visit, network) for pair in visits for network in ("unet", "floor", "forest", "seed-resnet")
    )
    assert all(np.isfinite(m.agreement.mae) for m in fit.measured)
    for pair in visits:
        volume = load_volume(pair, PLAN.features, presence=True)
        image = predict([fit.trained[0].network], volume, PLAN, FABRIC).image
        assert measure(volume, image, PLAN).mae > 0


def test_tissues_are_told_on_a_t1w_that_is_there(visits):
    volumes = [load_volume(visits[n], PLAN.features, presence=True) for n in (0, 3)]
    errors = [measure(volume, np.zeros(volume.mask.shape, np.float32), PLAN).to_json() for volume in volumes]
    assert errors[0]["mae_white"] is not None
    assert errors[1]["mae_white"] is None
    assert errors[1]["mae"] == errors[0]["mae"]


def test_a_source_that_a_fold_never_sees_is_refused(visits):
    apart = [Fold(0, frozenset({"sub-01"})), Fold(1, frozenset({"sub-02", "sub-03", "sub-09"}))]
    check_learned(visits, apart, PLAN.sources)
    together = [Fold(0, frozenset({"sub-03"})), Fold(1, frozenset({"sub-01", "sub-02", "sub-09"}))]
    with pytest.raises(NoInputError, match=r"3 participant\(s\) have T2w and target") as raised:
        check_learned(visits, together, PLAN.sources)
    assert raised.value.hint.startswith("leave T2w out of --source")

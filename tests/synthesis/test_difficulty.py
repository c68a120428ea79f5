"""Patches go where errors are large, none is left out, and the map of errors is part of the training's state."""

import dataclasses

import numpy as np
import pytest
import torch

from bidsapp.synthesis.difficulty import FLOOR, NEWEST, ErrorMap
from bidsapp.synthesis.losses import patch_errors
from bidsapp.synthesis.run import Run, Step
from bidsapp.synthesis.sampling import PatchSampler, TrainingVolume
from bidsapp.synthesis.training import make_fabric

FABRIC = make_fabric("cpu", "32-true")
RANDOM = np.random.default_rng(0)


def made(shape=(40, 30, 20), inside=np.s_[4:36, 3:27, 2:18]):
    """A volume of noise whose brain is a box."""
    mask = np.zeros((1, *shape), bool)
    mask[0][inside] = True
    inputs = RANDOM.normal(5, 1, (6, *shape)).astype(np.float16) * mask
    return TrainingVolume(inputs, inputs[:1], mask, np.flatnonzero(mask).astype(np.int32))


@pytest.fixture
def volumes():
    return [made(), made((24, 24, 24), np.s_[1:20, 2:20, 3:20])]


def test_blocks_are_half_a_patch_and_count_the_brain(volumes):
    errors = ErrorMap(volumes, (16, 16, 8))
    assert [voxels.shape for voxels in errors.voxels] == [(5, 4, 5), (3, 3, 6)]
    assert [voxels.sum() for voxels in errors.voxels] == [32 * 24 * 16, 19 * 18 * 17]
    assert errors.voxels[0][0, 0, 0] == 4 * 5 * 2
    assert errors.voxels[0][1, 1, 1] == 8 * 8 * 4


def test_chances_follow_the_error_above_a_floor(volumes):
    errors = ErrorMap(volumes, (16, 16, 16))
    even = errors.voxels[0] / errors.voxels[0].sum()
    assert errors.chances(0) == pytest.approx(even)
    errors.errors[0][:] = 0
    assert errors.chances(0) == pytest.approx(even)
    errors.errors[0][:] = 0.2
    assert errors.chances(0) == pytest.approx(even)
    errors.errors[0][2] = 0.6
    weights = even * np.where(np.arange(5) == 2, 3, 1)[:, None, None]
    assert errors.chances(0) == pytest.approx(FLOOR * even + (1 - FLOOR) * weights / weights.sum())
    errors.errors[0][2] = np.nan  # as the mean of the others
    assert errors.chances(0) == pytest.approx(even)
    errors.errors[0][:] = 0
    errors.errors[0][2, 1, 1] = 1e-9
    assert errors.chances(0)[2, 1, 1] == pytest.approx(FLOOR * even[2, 1, 1] + 1 - FLOOR)
    assert errors.chances(1) == pytest.approx(errors.voxels[1] / errors.voxels[1].sum())


def test_a_patch_is_remembered_where_its_middle_half_lies(volumes):
    errors = ErrorMap(volumes, (16, 16, 16))
    errors.learn(0, (16, 3, 19), 0.4)  # 12–20, 0–7 and 15–23
    known = np.argwhere(np.isfinite(errors.errors[0]))
    assert known.tolist() == [[1, 0, 1], [1, 0, 2], [2, 0, 1], [2, 0, 2]]
    errors.learn(0, (18, 3, 19), 0.9)  # 14–22
    assert errors.errors[0][1:3, 0, 1].tolist() == pytest.approx([0.4 + NEWEST * 0.5] * 2)
    errors.learn(0, (18, 3, 19), float("nan"))
    assert errors.errors[0][2, 0, 2] == pytest.approx(0.4 + NEWEST * 0.5)
    assert np.isnan(errors.errors[1]).all()


def test_centres_lie_in_the_brain_and_in_their_blocks_by_chance(volumes):
    errors = ErrorMap(volumes, (16, 16, 16))
    errors.errors[0][:] = 0
    errors.errors[0][4, 3, 2] = 1  # a corner block of 4 × 3 × 2 voxels of the brain
    random = np.random.default_rng(5)
    drawn = np.array([errors.centre(0, random) for _ in range(2000)])
    assert volumes[0].mask[0][tuple(drawn.T)].all()
    corner = (drawn >= (32, 24, 16)).all(1)
    assert corner.mean() == pytest.approx(1 - FLOOR, abs=0.03)
    assert len(np.unique(drawn[corner], axis=0)) == 4 * 3 * 2
    others = drawn[~corner].mean(0)
    assert others == pytest.approx((19.5, 14.5, 9.5), abs=1)  # even: the middle of the box


def test_errors_are_those_of_each_patch_inside_its_mask():
    prediction = torch.zeros(3, 1, 4, 4, 4)
    target, mask = prediction.clone(), torch.zeros_like(prediction)
    target[0, :, :2], target[1] = 3, -2
    mask[0, :, 1:3] = mask[1, :, 0] = 1
    assert patch_errors(prediction, target, mask).tolist() == pytest.approx([1.5, 2, np.nan], nan_ok=True)


def test_the_plan_says_where_patches_are_drawn(volumes, plan):
    even, sampler = (
        PatchSampler(volumes, dataclasses.replace(plan, sampling=name)) for name in ("foreground", "error")
    )
    first = [sampler.draw(4).inputs for _ in range(2)]
    assert all(torch.equal(a, even.draw(4).inputs) for a in first)
    sampler.map.errors = [np.zeros_like(errors) for errors in sampler.map.errors]
    for errors in sampler.map.errors:
        errors[1, 1, 1] = 1
    sampler.draw(400, by_error=True)
    there = [all(8 <= n < 16 for n in place) for _, place in sampler.places]
    assert np.mean(there) > FLOOR
    assert np.mean([number for number, _ in sampler.places]) == pytest.approx(0.5, abs=0.08)


def test_errors_of_training_are_kept_and_used_after_the_warm_up(volumes, plan, monkeypatch):
    run = Run(volumes, dataclasses.replace(plan, sampling="error", max_steps=4, warmup=0.5), FABRIC)
    asked = []
    draw = run.batches.sampler.draw

    def noted(size, *, by_error):
        asked.append(by_error)
        return draw(size, by_error=by_error)

    monkeypatch.setattr(run.batches.sampler, "draw", noted)
    for number in range(1, 5):
        run.history.append(Step(number, number / 4, float(number), run.step(), 1.0))
    run.finish()
    assert asked == [False, False, True, True, False]  # statistics are settled on patches from everywhere
    known = np.concatenate([errors[np.isfinite(errors)] for errors in run.batches.sampler.map.errors])
    assert 0 < known.min() <= known.max() < 20
    again = Run(volumes, run.plan, FABRIC)
    again.restore(run.state())
    kept, restored = (r.batches.sampler.map.errors for r in (run, again))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(kept, restored, strict=True))
    assert torch.equal(run.batches.next(by_error=True).inputs, again.batches.next(by_error=True).inputs)

"""The training loop."""

import dataclasses

import pytest
import torch

from bidsapp.synthesis.baselines import fit_floor, predict_floor
from bidsapp.synthesis.inference import predict
from bidsapp.synthesis.metrics import agreement
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.run import one_cycle
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import best_precision, in_steps, make_fabric, train


@pytest.fixture
def stored(pairs, plan, tmp_path):
    return [TrainingVolume.store(load_volume(p, plan.features), tmp_path / p.visit) for p in pairs[:2]]


def test_schedule_rises_and_falls():
    rates = [one_cycle(p / 100, 1e-3, 0.3) for p in range(101)]
    assert rates[0] == pytest.approx((1e-3 / 25, 0.95))
    assert rates[30] == pytest.approx((1e-3, 0.85))
    assert rates[100][0] == pytest.approx(1e-7)
    assert max(rate for rate, _ in rates) == pytest.approx(1e-3)


def test_precision_is_what_the_processor_is_fast_at():
    capabilities = torch.cpu.get_capabilities()
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    assert best_precision("cpu") == ("bf16-mixed" if fast else "32-true")


def test_the_same_seed_gives_the_same_bits(stored, plan):
    plan = dataclasses.replace(plan, max_steps=3)
    a, b = (train(stored, plan, make_fabric("cpu", "32-true")) for _ in range(2))
    assert a.steps == b.steps == 3
    weights = [t.network.state_dict() for t in (a, b)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not a.network.training


def test_time_ends_a_training_too(stored, plan):
    ticks = iter(range(10_000))
    timed = dataclasses.replace(plan, minutes=10 / 60, max_steps=None)
    trained = train(stored, timed, make_fabric("cpu", "32-true"), clock=lambda: float(next(ticks)))
    assert trained.steps == 10  # the clock ticks once a step, and 9.5 s are for training
    assert trained.history[-1].progress == 1


def test_no_time_ends_a_training_that_is_counted_alone(stored, plan):
    ticks = iter(range(0, 10**9, 10**6))
    counted = dataclasses.replace(plan, minutes=None, max_steps=3)
    trained = train(stored, counted, make_fabric("cpu", "32-true"), clock=lambda: float(next(ticks)))
    assert [round(step.progress, 3) for step in trained.history] == [0.333, 0.667, 1]


def test_an_epoch_draws_as_many_voxels_as_the_brains_have(stored, plan):
    # Two brains of 20 × 22 × 20 voxels; a step draws 2 × 16³.
    counted = dataclasses.replace(plan, epochs=4, max_steps=None)
    assert in_steps(counted, stored).max_steps == 9  # 8.594, rounded up
    assert in_steps(counted, stored[:1]).max_steps == 5
    assert in_steps(plan, stored) is plan
    trained = train(stored, dataclasses.replace(counted, epochs=1.5), make_fabric("cpu", "32-true"))
    assert trained.steps == 4
    assert trained.history[-1].progress == 1


@pytest.mark.slow
def test_it_learns_a_map_that_no_global_one_can(pairs, tmp_path):
    plan = make_plan("unet", ("T1w",), "FLAIR", minutes=5, max_steps=60, precision="32-true", seed=0, patch=16)
    volumes = [TrainingVolume.store(load_volume(p, plan.features), tmp_path / p.visit) for p in pairs[:2]]
    fabric = make_fabric("cpu", "32-true")
    trained = train(volumes, plan, fabric)
    held_out = load_volume(pairs[2], plan.features)
    ours, floor = (
        agreement(image, held_out.target, held_out.loss_mask).mae
        for image in (
            predict([trained.network], held_out, plan, fabric).image,
            predict_floor(fit_floor(volumes, 1, 0), held_out, 1),
        )
    )
    assert ours < 0.8 * floor


def test_a_norm_of_the_plan_is_that_of_the_network(stored, plan):
    shape = {"network": "seed-resnet", "channels": (4,), "features": (), "max_steps": 2}
    trained = train(stored, dataclasses.replace(plan, norm="weight", **shape), make_fabric("cpu", "32-true"))
    assert "heads.image.weight" in trained.network.state_dict()
    assert any("parametrizations" in name for name in trained.network.state_dict())
    assert not any("running_mean" in name for name in trained.network.state_dict())

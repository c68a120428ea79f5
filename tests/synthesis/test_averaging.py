"""The average of the weights spans the same share of any training, and is what the network ends with."""

import dataclasses

import numpy as np
import pytest
import torch

from bidsapp.synthesis.averaging import WeightAverage, exponent
from bidsapp.synthesis.checkpoint import Checkpoint
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.run import Run, Step
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric, train

FABRIC = make_fabric("cpu", "32-true")


def test_exponents_are_those_of_the_article():
    assert exponent(0.05) == pytest.approx(16.97, abs=0.01)
    assert exponent(0.10) == pytest.approx(6.94, abs=0.01)
    assert exponent(12**-0.5) == pytest.approx(0, abs=1e-9)  # a plain mean


@pytest.mark.parametrize("steps", [60, 3000])
def test_it_spans_the_same_share_of_few_steps_and_many(steps):
    average = WeightAverage(0.1)
    moments = torch.zeros(2, dtype=torch.float64)
    for step in range(1, steps + 1):
        moments.copy_(torch.tensor([step / steps, (step / steps) ** 2]))
        average.update([moments], step)
    mean, square = average.weights[0].tolist()
    assert np.sqrt(square - mean**2) == pytest.approx(0.1, abs=0.003)
    assert mean == pytest.approx((6.94 + 1) / (6.94 + 2), abs=0.01)


@pytest.fixture
def volumes(pairs, plan, tmp_path):
    return [TrainingVolume.store(load_volume(p, plan.features), tmp_path / p.visit) for p in pairs[:2]]


@pytest.fixture
def averaged(plan):
    return dataclasses.replace(plan, averaging=12**-0.5, max_steps=3)


def take_steps(run, count):
    """Take steps as a training does, and return the weights of the last layer after each."""
    heads = []
    for number in range(1, count + 1):
        run.history.append(Step(number, number / run.plan.max_steps, float(number), run.step(), 1.0))
        heads.append(run.network.module.heads.image.weight.detach().clone())
    return heads


def test_the_network_ends_with_the_average_and_its_statistics(volumes, averaged):
    run = Run(volumes, averaged, FABRIC)
    heads = take_steps(run, 3)
    settled = []

    def look(module, inputs, output):
        settled.append(output.detach().mean((0, 2, 3, 4)))

    run.network.module.stem[0].register_forward_hook(look)
    run.finish()
    network = run.network.module
    torch.testing.assert_close(network.heads.image.weight, torch.stack(heads).mean(0))
    assert not torch.equal(heads[-1], network.heads.image.weight)
    torch.testing.assert_close(network.stem[1].running_mean, torch.stack(settled).mean(0))


def test_a_killed_training_keeps_its_average(volumes, averaged, tmp_path):
    whole = train(volumes, averaged, FABRIC)
    run = Run(volumes, averaged, FABRIC)
    take_steps(run, 2)
    Checkpoint(tmp_path / "c.pt").write(run.state())
    resumed = train(volumes, averaged, FABRIC, checkpoint=Checkpoint(tmp_path / "c.pt"))
    assert resumed.steps == 3
    weights = whole.network.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in resumed.network.state_dict().items())

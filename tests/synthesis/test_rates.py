"""The learning rate range test, where the answer is known and where it is not."""

import dataclasses

import numpy as np
import pytest

from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.rates import DIVISOR, HALF_WINDOW, HIGHEST, LOWEST, STEPS, find_rate, range_test, smooth
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric

RATIO = (HIGHEST / LOWEST) ** (1 / STEPS)


class Quadratic:
    """Gradient descent on ``curvature · x² / 2``: down at rates below ``2 / curvature``, and up beyond."""

    def __init__(self, curvature, noise=0.0):
        self.curvature, self.noise, self.x, self.taken = curvature, noise, 1e3, 0
        self.random = np.random.default_rng(1)

    def __call__(self, rate):
        loss = self.curvature * self.x**2 / 2 * np.exp(self.noise * self.random.normal())
        self.x *= 1 - rate * self.curvature
        self.taken += 1
        return loss


@pytest.mark.parametrize("curvature", [20.0, 200.0, 2000.0])
def test_the_edge_of_a_quadratic_is_found(curvature):
    test = range_test(Quadratic(curvature))
    edge = 2 / curvature
    least = test.rates[int(np.argmin(test.losses))]
    assert edge / RATIO <= least <= edge * RATIO
    assert edge / RATIO <= test.chosen * DIVISOR <= edge * RATIO**HALF_WINDOW
    assert test.chosen == pytest.approx(test.rates[int(np.argmin(test.smoothed))] / 10)


def test_losses_that_vary_by_a_fifth_change_little():
    quiet, noisy = (range_test(Quadratic(200.0, noise)).chosen for noise in (0.0, 0.2))
    assert quiet / 1.5 < noisy < quiet * 1.5


def test_it_stops_where_the_loss_has_left_or_is_no_number():
    quadratic = Quadratic(2000.0)
    test = range_test(quadratic)
    assert quadratic.taken < STEPS
    assert max(test.losses[int(np.argmin(test.losses)) :]) < 4 * min(test.losses)
    broken = range_test(lambda rate: float("nan") if rate > 1e-3 else 1 - rate)
    assert max(broken.rates) < 1e-3
    assert np.isfinite(broken.losses).all()
    endless = range_test(lambda rate: 1 - rate)
    assert len(endless.rates) == STEPS


def test_a_mean_of_noise_is_geometric_and_centred():
    assert smooth([1.0, 100.0]) == pytest.approx([10.0, 10.0])
    step = smooth([1.0] * 20 + [np.e] * 20)
    assert np.log(step[20 - 6]) == pytest.approx(0)
    assert np.log(step[20]) == pytest.approx(6 / 11)
    assert np.log(step[20 + 5]) == pytest.approx(1)


def test_the_table_has_a_row_for_each_step():
    test = range_test(Quadratic(200.0))
    rows = [row.split("\t") for row in test.to_tsv().splitlines()]
    assert rows[0] == ["learning_rate", "loss", "smoothed"]
    assert len(rows) == 1 + len(test.rates)
    assert [float(value) for value in rows[1]] == pytest.approx(
        [test.rates[0], test.losses[0], test.smoothed[0]], rel=1e-5
    )


def test_a_network_gets_a_rate_at_which_it_learns(pairs, plan, tmp_path):
    volumes = [TrainingVolume.store(load_volume(p, plan.features), tmp_path / p.visit) for p in pairs[:2]]
    plan = dataclasses.replace(plan, batch=2, channels=(8, 16))
    fabric = make_fabric("cpu", "32-true")
    tested, test = find_rate(volumes, plan, fabric)
    assert tested == dataclasses.replace(plan, learning_rate=test.chosen)
    assert 3e-4 < test.chosen < 0.1
    assert min(test.smoothed) < 0.9 * test.smoothed[0]
    again, _ = find_rate(volumes, plan, fabric)
    assert again == tested  # it repeats

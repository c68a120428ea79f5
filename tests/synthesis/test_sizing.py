"""Network and patch follow the steps that fit into the minutes."""

import dataclasses

import pytest

from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.sizing import ENOUGH_STEPS, SIZES, size_to_minutes
from bidsapp.synthesis.training import make_fabric, seconds_per_step


@pytest.fixture
def timed():
    return make_plan("unet", ("T1w",), "FLAIR", minutes=10, max_steps=None, precision="32-true", seed=0)


def size(plan):
    assert len(set(plan.patch)) == 1
    return plan.channels, plan.patch[0]


def test_the_largest_size_that_reaches_enough_steps(timed):
    for limit, (channels, patch) in enumerate(SIZES["unet"]):
        allowed = {p for _, p in SIZES["unet"][: limit + 1]}

        def measure(plan, fabric, allowed=allowed):
            return 600 / ENOUGH_STEPS * (0.99 if plan.patch[0] in allowed else 1.01)

        assert size(size_to_minutes(timed, None, measure)) == (channels, patch)


def test_steps_rather_than_minutes_leave_the_plan_alone(timed):
    def measure(plan, fabric):
        raise AssertionError("nothing is to be timed")

    counted = dataclasses.replace(timed, max_steps=10)
    assert size_to_minutes(counted, None, measure) is counted
    counted = dataclasses.replace(timed, epochs=2.0)
    assert size_to_minutes(counted, None, measure) is counted
    seed = make_plan("seed-resnet", ("T1w",), "FLAIR", minutes=10, max_steps=None, precision="32-true", seed=0)
    assert size_to_minutes(seed, None, measure) is seed


def test_a_step_is_timed_by_the_clock_given(timed):
    ticks = iter([0.0, 9.0, 10.0, 12.0, 20.0, 23.0, 30.0, 32.5])  # the first step is for warming up
    small = dataclasses.replace(timed, patch=(16, 16, 16), channels=(4, 8))
    assert seconds_per_step(small, make_fabric("cpu", "32-true"), clock=lambda: next(ticks)) == 2.0


@pytest.mark.parametrize(("fixed", "sizes"), [("channels", 3), ("patch", 3), ("channels patch", 1)])
def test_what_a_person_set_stays(timed, fixed, sizes):
    seen = []

    def measure(plan, fabric):
        seen.append(size(plan))
        return 0.0

    own = dataclasses.replace(timed, channels=(5, 7), patch=(40, 40, 40))
    sized = size_to_minutes(own, None, measure, fixed=fixed.split())
    assert len(seen) == sizes - 1
    channels, patch = SIZES["unet"][-1]
    assert sized.channels == ((5, 7) if "channels" in fixed else channels)
    assert sized.patch == 3 * (40 if "patch" in fixed else patch,)

"""Comparison of models over participants."""

import numpy as np
import pytest

from bidsapp.synthesis.statistics import by_participant, compare, interval


def named(values):
    return {f"sub-{n:02d}": float(value) for n, value in enumerate(values)}


def test_visits_of_a_participant_count_once():
    assert by_participant([("a", 1.0), ("a", 3.0), ("b", 5.0)]) == {"a": 2.0, "b": 5.0}


def test_six_pairs_that_point_one_way():
    theirs = np.array([0.5, 0.6, 0.4, 0.7, 0.55, 0.45])
    ours = theirs - [0.1, 0.12, 0.08, 0.11, 0.09, 0.13]
    found = compare(named(ours), named(theirs), 0)
    assert (found.n, found.ours, found.theirs) == (6, pytest.approx(ours.mean()), pytest.approx(theirs.mean()))
    assert found.p == pytest.approx(2 / 2**6)
    assert found.difference.mean == pytest.approx(-0.105)
    assert -0.13 < found.difference.low < -0.105 < found.difference.high < -0.08


def test_five_pairs_cannot_reach_five_percent_and_have_no_p():
    found = compare(named([1, 2, 3, 4, 5]), named([2, 3, 4, 5, 6.5]), 0)
    assert (found.n, found.p) == (5, None)
    assert found.difference.mean == pytest.approx(-1.1)


def test_only_participants_that_both_predicted_are_compared():
    found = compare({"a": 1.0, "b": 2.0, "c": 9.0}, {"a": 2.0, "b": 4.0, "d": 0.0}, 0)
    assert (found.n, found.ours, found.theirs, found.difference.mean) == (2, 1.5, 3, -1.5)
    assert compare({"a": 1.0}, {"b": 1.0}, 0) is None


def test_the_same_numbers_are_no_difference():
    assert compare(named(range(8)), named(range(8)), 0).p == 1


def test_an_interval_covers_the_mean_as_often_as_it_says():
    random = np.random.default_rng(1)
    samples = random.normal(3, 2, (60, 40))
    hits = [found.low < 3 < found.high for found in (interval(list(sample), 0) for sample in samples)]
    assert 0.85 < np.mean(hits) <= 1
    wide = interval(list(samples[0]), 0)
    assert (wide.high - wide.low) / 2 == pytest.approx(1.96 * samples[0].std() / 40**0.5, rel=0.1)
    assert interval(list(samples[0]), 0) == wide
    assert interval([2.0], 0) == (interval([2.0], 1))
    assert interval([2.0], 0).low is None

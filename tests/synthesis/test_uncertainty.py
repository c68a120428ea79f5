"""Intervals: what they cover, and what they are calibrated on."""

import dataclasses
import json
import math
import tracemalloc

import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.scales import IntensityScale
from bidsapp.synthesis.inference import Predicted
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.uncertainty import (
    RANKS,
    Calibration,
    Residuals,
    measure_interval,
    read_calibration,
    residuals,
    write_calibration,
)


def person(name, fold, stretch=1.0):
    """Return the residuals of one whose errors have Laplace's distribution, of `stretch` times the scale."""
    return Residuals(f"{name}_ses-1", name, fold, tuple(-stretch * math.log(1 - rank) for rank in RANKS))


def test_the_factor_is_the_quantile_of_what_was_seen():
    assert Calibration((person("a", 0),)).factor(0.9) == pytest.approx(math.log(10), rel=1e-6)
    assert Calibration((person("a", 0, 2), person("b", 1, 2))).factor(0.9) == pytest.approx(
        2 * math.log(10), rel=1e-6
    )
    # Of two people of different spread, the shares that are covered have the wanted mean.
    factor = Calibration((person("a", 0, 1), person("b", 1, 2))).factor(0.9)
    covered = [1 - math.exp(-factor / stretch) for stretch in (1, 2)]
    assert np.mean(covered) == pytest.approx(0.9, abs=2e-3)


def test_people_count_alike_whatever_their_visits():
    twice = (person("a", 0, 1), dataclasses.replace(person("a", 0, 1), visit="a_ses-2"), person("b", 1, 3))
    once = (person("a", 0, 1), person("b", 1, 3))
    assert Calibration(twice).factor() == pytest.approx(Calibration(once).factor(), rel=1e-9)


def test_nobody_is_calibrated_on_himself():
    calibration = Calibration((person("a", 0, 1), person("b", 1, 1.5), person("c", 1, 1.5)))
    assert calibration.others(1).participants == ("a",)
    assert calibration.others(None).participants == ("a", "b", "c")
    covered = calibration.held_out(0.9)
    assert covered["a"] == pytest.approx(1 - 10**-1.5, abs=2e-3)  # by the interval of those who are more spread
    assert covered["b"] == covered["c"] == pytest.approx(1 - 10 ** (-1 / 1.5), abs=2e-3)


def test_several_levels_at_once_are_each_level_on_its_own():
    calibration = Calibration((person("a", 0, 1), person("b", 1, 1.5), person("c", 1, 1.2)))
    levels = (0.2, 0.5, 0.9)
    assert calibration.factors(levels).tolist() == [calibration.factor(level) for level in levels]
    found = calibration.coverage(levels)
    for number, level in enumerate(levels):
        assert {who: shares[number] for who, shares in found.items()} == calibration.held_out(level)


def test_many_people_take_no_more_memory_than_a_few():
    random = np.random.default_rng(0)
    drawn = np.sort(random.exponential(size=(300, len(RANKS))), axis=1).tolist()
    people = tuple(Residuals(f"v{n}", f"sub-{n:03d}", n % 5, tuple(row)) for n, row in enumerate(drawn))
    tracemalloc.start()
    try:
        found = Calibration(people).factors((0.5, 0.9))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10e6  # all shares at all values are 300 × 29,700 numbers of 8 bytes
    values = np.unique(drawn)
    shares = np.mean([np.interp(values, row, RANKS, left=0, right=1) for row in drawn], axis=0)
    assert found.tolist() == pytest.approx(np.interp((0.5, 0.9), shares, values).tolist(), rel=1e-12)


def test_what_every_visit_of_a_fold_asks_for_is_found_once(monkeypatch):
    asked = []
    factors = Calibration.factors
    monkeypatch.setattr(Calibration, "factors", lambda self, levels: asked.append(levels) or factors(self, levels))
    calibration = Calibration((person("a", 0, 7), person("b", 1, 8)))
    for _ in range(3):
        assert calibration.others(0).factor() == pytest.approx(8 * math.log(10), rel=1e-6)
        assert calibration.others(0).summary()["Factor"] == pytest.approx(8 * math.log(10), abs=1e-4)
    assert asked == [[0.9]]


def test_it_is_written_and_read(tmp_path):
    calibration = Calibration((person("a", 0), person("b", 1, 2)))
    write_calibration(tmp_path / "c.json", calibration)
    read = read_calibration(tmp_path / "c.json")
    assert read.factor() == pytest.approx(calibration.factor(), rel=1e-5)
    assert [(r.visit, r.participant, r.fold) for r in read.residuals] == [("a_ses-1", "a", 0), ("b_ses-1", "b", 1)]
    falling = json.loads((tmp_path / "c.json").read_text())
    falling["Visits"][0]["Quantiles"][3] = 9.0
    for text in (json.dumps(falling), "", "[]", '{"Visits": []}', '{"Visits": [{"Visit": "v"}]}'):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(DataError, match=r"c\.json"):
            read_calibration(tmp_path / "c.json")
    with pytest.raises(DataError, match="missing"):
        read_calibration(tmp_path / "missing.json")


@pytest.fixture
def volume(pairs):
    return load_volume(pairs[0], ())


def test_an_interval_of_calibrated_scales_covers_what_it_says(volume):
    random = np.random.default_rng(0)
    scale = random.uniform(0.2, 1.0, volume.mask.shape).astype(np.float32)
    image = volume.target + random.laplace(0, 1.7 * scale).astype(np.float32)
    left = residuals(volume, Predicted(image, scale), fold=3)
    assert (left.participant, left.fold) == (volume.pair.participant, 3)
    factor = Calibration((left,)).factor()
    assert factor == pytest.approx(1.7 * math.log(10), rel=0.05)
    found = measure_interval(volume, image, scale * np.float32(factor))
    assert found.coverage == pytest.approx(0.9, abs=2e-3)
    inside = scale[volume.loss_mask]
    assert found.interval_width == pytest.approx(2 * factor * np.median(inside), rel=1e-5)
    assert 0.3 < found.width_error_r < 0.7


def test_the_width_of_a_cts_interval_is_in_hounsfield_units(volume):
    pair = dataclasses.replace(volume.pair, target_scale=IntensityScale("hu", 0, 1000))
    ct = dataclasses.replace(volume, pair=pair)
    half = np.full_like(volume.target, 0.05)
    assert measure_interval(ct, volume.target, half).interval_width == pytest.approx(100, rel=1e-5)


def test_without_a_target_nothing_is_measured(volume):
    blind = dataclasses.replace(volume, target=None, loss_mask=None)
    assert measure_interval(blind, volume.target, volume.target) is None
    flat = measure_interval(volume, volume.target, np.ones_like(volume.target))
    assert flat.to_json() == {"coverage": 1.0, "interval_width": 2.0, "width_error_r": None}

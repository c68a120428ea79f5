"""The scanners of a randomized cohort."""

import math

import numpy as np
import pytest

from bidsapp.phantom.constants import TISSUES, Sequence, Tissue
from bidsapp.phantom.scanner import RECOGNIZED, draw_scanner, standard_scanner
from bidsapp.phantom.signal import signal, signals

WATER = Tissue(t1=900, t2=80, pd=1)


@pytest.fixture(scope="module")
def scanners():
    random = np.random.default_rng(0)
    return [draw_scanner(random) for _ in range(60)]


def test_an_mprage_is_the_cycle_that_repeats():
    sequence = Sequence(tr=2300, te=0, ti=900, flip=9, pulses=160, spacing=7)
    cosine = math.cos(math.radians(9))

    def relaxed(magnetization, ms):
        return 1 - (1 - magnetization) * math.exp(-ms / WATER.t1)

    magnetization = 1.0
    for _ in range(30):
        magnetization = relaxed(-magnetization, 900 - 80 * 7)
        for pulse in range(160):
            if pulse == 80:
                echo = abs(magnetization) * math.sin(math.radians(9))
            magnetization = relaxed(magnetization * cosine, 7)
        magnetization = relaxed(magnetization, 2300 - 900 - 80 * 7)
    assert signal(WATER, sequence) == pytest.approx(echo, rel=1e-9)


def test_a_spoiled_gradient_echo_is_brightest_at_the_ernst_angle():
    ernst = math.degrees(math.acos(math.exp(-20 / WATER.t1)))
    at, below, above = (signal(WATER, Sequence(tr=20, te=0, ti=0, flip=ernst + turn)) for turn in (0, -2, 2))
    assert at > below
    assert at > above
    assert at == pytest.approx(math.sqrt(math.tanh(20 / WATER.t1 / 2)), rel=1e-9)


def test_the_standard_scanner_differs_in_tissues_only():
    one, other = (standard_scanner(np.random.default_rng(seed)) for seed in (0, 1))
    assert one.sequences is other.sequences
    assert one.field == other.field == 3
    assert one.tissues["gm"].t1 != other.tissues["gm"].t1


def test_a_seed_is_a_scanner():
    one, same, other = (draw_scanner(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert one == same
    assert one != other


def test_every_contrast_is_what_its_name_says(scanners):
    assert all(RECOGNIZED[c](s.strength(c)) for s in scanners for c in ("T1w", "T2w", "FLAIR"))
    for scanner in scanners:
        t1w, flair = scanner.strength("T1w"), scanner.strength("FLAIR")
        assert t1w["csf"] < t1w["gm"] < t1w["wm"]
        assert t1w["lesion"] < 1.02 * t1w["wm"]  # at most as bright as what it lies in
        assert flair["csf"] < flair["wm"] < flair["gm"] < flair["lesion"]
        assert flair["deep"] < flair["gm"]


def test_contrasts_vary_widely(scanners):
    def spread(contrast, tissue):
        ratios = [s.strength(contrast)[tissue] / s.strength(contrast)["wm"] for s in scanners]
        return np.percentile(ratios, [5, 95])

    standard = [
        signals(standard_scanner(np.random.default_rng(n)).tissues, Sequence(2300, 3, 900)) for n in range(60)
    ]
    narrow = np.ptp(np.percentile([s["gm"] / s["wm"] for s in standard], [5, 95]))
    low, high = spread("T1w", "gm")
    assert low < 0.6
    assert high > 0.85
    assert high - low > 1.3 * narrow
    low, high = spread("T1w", "csf")
    assert low < 0.15
    assert high > 0.4
    low, high = spread("FLAIR", "gm")
    assert low < 1.1
    assert high > 1.4
    low, high = spread("FLAIR", "csf")
    assert low < 0.05
    assert high > 0.35
    low, high = spread("FLAIR", "lesion")
    assert low < 1.5
    assert high > 2.5


def test_both_fields_and_all_kinds_of_t1w_are_there(scanners):
    assert {s.field for s in scanners} == {1.5, 3.0}
    kinds = [(s.sequences["T1w"].pulses > 0, s.sequences["T1w"].flip < 90) for s in scanners]
    assert {kinds.count(kind) > 5 for kind in ((True, True), (False, True), (False, False))} == {True}
    weak, strong = (np.mean([s.tissues["gm"].t1 for s in scanners if s.field == field]) for field in (1.5, 3.0))
    assert weak == pytest.approx(1200, rel=0.08)
    assert strong == pytest.approx(1600, rel=0.08)
    assert set(scanners[0].tissues) == {*TISSUES, "deep"}

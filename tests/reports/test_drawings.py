"""Axes, strips and curves: where things are drawn."""

import re

import pytest

from bidsapp.reports.axes import Axis, around, number
from bidsapp.reports.curves import Curve, chart, thinned
from bidsapp.reports.strips import BINS, MOST_DOTS, Strip, strips


def test_an_axis_places_values_and_keeps_those_beyond_at_its_ends():
    axis = Axis(10.0, 20.0, 100.0, 300.0)
    assert [axis.place(value) for value in (10, 15, 20, 25, 0)] == [100, 200, 300, 300, 100]
    assert [axis.beyond(value) for value in (9.9, 10, 20, 20.1)] == [True, False, False, True]


def test_equal_factors_are_equally_wide_on_a_logarithmic_axis():
    axis = Axis(1e-4, 1.0, 0.0, 400.0, logarithmic=True)
    assert axis.place(1e-2) == pytest.approx(200)
    assert axis.ticks() == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1.0])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (8.1, 12.3, [10, 12]),
        (-0.03, 0.03, [-0.02, 0, 0.02]),
        (1180, 1700, [1200, 1400, 1600]),
    ],
)
def test_numbers_on_an_axis_are_round(low, high, expected):
    assert Axis(low, high, 0, 1).ticks(4) == pytest.approx(expected)


def test_one_value_has_an_axis_too():
    axis = around([0.0, 0.0], 0, 100)
    assert axis.place(0.0) == 50
    assert [number(value) for value in (0.0, -1.5, 1e-5, 2e6, 1200.0)] == ["0", "−1.5", "1e−5", "2e6", "1200"]


def dots(svg, kind="dot"):
    """Return where the dots of a strip are."""
    return [
        tuple(map(float, xy))
        for xy in re.findall(rf'<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+" class="{kind}"', svg)
    ]


def test_a_strip_has_a_dot_for_each_value_and_names_it():
    svg = str(strips([Strip("T1w", {"sub-01": 1.0, "sub-02": 2.0, "sub-<3>": 3.0})], "Number"))
    (first, _), (second, _), (third, _) = dots(svg)
    assert second - first == pytest.approx(third - second, abs=0.11)
    assert "<title>sub-01: 1</title>" in svg
    assert "sub-&lt;3&gt;: 3" in svg


def test_dots_at_one_place_do_not_hide_each_other():
    places = dots(str(strips([Strip("x", dict.fromkeys("abcd", 1.0))], "Number")))
    assert len({x for x, _ in places}) == 1
    assert len({y for _, y in places}) == 4


def test_a_value_far_from_all_others_is_a_triangle_at_the_end_and_does_not_flatten_them():
    values = {f"sub-{n}": float(n) for n in range(10)}
    plain = dots(str(strips([Strip("x", values)], "Number")))
    svg = str(strips([Strip("x", {**values, "far": 1e6}, frozenset({"far"}))], "Number"))
    assert dots(svg) == plain
    assert re.search(r'<path d="M[^"]+" class="out"><title>far: 1e\+06</title>', svg)


def test_many_values_are_bars_and_their_marked_ones_dots():
    values = {f"sub-{n}": float(n % 10) for n in range(MOST_DOTS + 20)}
    svg = str(strips([Strip("x", {**values, "sub-0": 11.0}, frozenset({"sub-0"}))], "Number"))
    assert dots(svg) == []
    assert len(dots(svg, "out")) == 1
    assert re.search(r'd="([^"]+)" class="bars"', svg)[1].count("h") == BINS


def test_a_mean_has_its_interval():
    row = Strip("unet", {"a": 0.0, "b": 10.0}, mean=(5.0, 2.5, 7.5))
    svg = str(strips([row], "Number"))
    left, right = sorted(x for x, _ in dots(svg))
    ends = re.search(r'd="M([\d.]+) \S+L([\d.]+) \S+" class="interval"', svg)
    assert [float(end) for end in ends.groups()] == pytest.approx(
        [left + (right - left) / 4, left + 3 * (right - left) / 4], abs=0.2
    )
    assert 'class="median"' not in svg


def test_nothing_is_drawn_of_nothing():
    assert strips([Strip("x", {})], "Number") == ""
    assert chart([Curve("x", [(0.0, 0.0)])], "x", "y", "Number") == ""


def test_a_curve_keeps_its_ends_when_it_is_thinned():
    points = [(float(n), float(n * n)) for n in range(10_000)]
    few = thinned(points)
    assert (len(few), few[0], few[-1]) == (240, points[0], points[-1])
    svg = str(chart([Curve("fold <0>", points, colour=7)], "step", "loss", "Loss"))
    line = re.search(r'd="M([^"]+)" class="line bold c1"', svg)[1].split("L")
    assert (len(line), line[0], line[-1].split()[0]) == (240, "44 174", "330")
    assert "<title>fold &lt;0&gt;</title>" in svg

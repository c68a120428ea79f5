"""Drawings of the group report, and what is put into the page."""

import re
from urllib.parse import unquote

import pytest

from bidsapp.reports.examples import MOST, shown
from bidsapp.reports.inline import inlined
from bidsapp.reports.markdown import to_html
from bidsapp.reports.records import Figure, GroupReport
from bidsapp.reports.sections import _running_median, coverage, errors, trainings, verdicts
from bidsapp.synthesis.statistics import Interval


def report(**told):
    return GroupReport(
        "1", {"learning_rate": 0.01, "target": "FLAIR"}, told.pop("rows", ()), ("unet", "floor"), **told
    )


def test_a_single_loss_moves_no_curve_wherever_it_stands():
    for step in (0, 50, 99):
        losses = [(float(n), 9.0 if n == step else 1.0) for n in range(100)]
        assert [loss for _, loss in _running_median(losses)] == pytest.approx([1.0] * 100)


def test_every_fold_has_a_curve_and_the_range_test_its_choice():
    history = {f"fold {k}": [(float(i), 1.0 + k) for i in range(9)] for k in range(3)}
    rates = [{"learning_rate": 10.0**-n, "loss": 1.0, "smoothed": 1.0} for n in range(4, -1, -1)]
    losses, test = trainings(report(history=history, rates=rates))
    assert losses.legend == ["fold 0", "fold 1", "fold 2"]
    assert losses.svg.count("running median</title>") == 3
    # .01 is in the middle of an axis from .0001 to 1.
    assert re.search(r'd="M187 22L187 174" class="limit"', test.svg)
    assert trainings(report()) == []


def test_errors_are_drawn_with_intervals_beside_the_baselines():
    rows = [
        {
            "visit": f"sub-{n}_ses-{s}",
            "participant": f"sub-{n}",
            "model": model,
            "mae": 0.3 + 0.01 * n + 0.1 * (model == "floor"),
        }
        for n in range(3)
        for s in range(2)
        for model in ("unet", "floor")
    ]
    summary = {"mae": {"unet": Interval(3, 0.31, 0.3, 0.32), "floor": Interval(3, 0.41, 0.4, 0.42)}}
    (mae,) = errors(report(rows=rows, summary=summary))
    assert mae.title == "MAE, normalized units"
    assert mae.note == "lower is better"
    assert mae.svg.count("<circle") == 6
    assert mae.svg.count('class="mean"') == 2


def test_coverage_is_told_at_four_levels():
    levels = (0.5, 0.8, 0.9, 0.95)
    found = coverage(report(levels=levels, coverage={"a": (0.4, 0.7, 0.8, 0.9), "b": (0.5, 0.8, 0.9, 1.0)}))
    assert found["rows"][0] == ("50 %", "45.0 %", "40.0 … 50.0 %")
    assert found["rows"][3] == ("95 %", "95.0 %", "90.0 … 100.0 %")
    assert (found["people"], found["drawing"].count('class="line')) == (2, 4)
    assert coverage(report()) == {}


def test_verdicts_are_counted():
    items = [
        {"visit": f"sub-{n}", "verdict": label, "scores": {"grain:T1w": score}}
        for n, (label, score) in enumerate([("trust", 0.2), ("trust", 0.4), ("reject", 5.0), ("caution", 1.5)])
    ]
    found = verdicts(report(predictions=[*items, {"visit": "sub-9"}]))
    assert found["counts"] == [("trust", 2, 50.0), ("caution", 1, 25.0), ("reject", 1, 25.0)]
    assert "grain, T1w" in found["drawing"]
    assert found["drawing"].count('class="out"') == 2
    assert verdicts(report(predictions=[{"visit": "sub-9"}])) == {}


def test_all_of_few_predictions_are_shown_and_the_telling_ones_of_many():
    few = {f"sub-{n:02}": n / 10 for n in range(MOST)}
    assert shown(few, {}) == dict.fromkeys(few, "")
    many = {f"sub-{n:02}": n / 100 for n in range(41)}
    found = shown(many, {"sub-90": 0.5, "sub-91": 3.0, "sub-92": 0.1, "sub-93": 1.2})
    assert list(found) == [
        *("sub-40", "sub-39", "sub-38"),
        *("sub-19", "sub-20", "sub-21"),
        *("sub-00", "sub-01", "sub-02"),
        *("sub-91", "sub-93", "sub-90"),
    ]
    assert found["sub-40"] == "one of the largest errors"


@pytest.mark.parametrize(
    ("measured", "largest", "middle", "least"),
    [(1, [0], [], []), (4, [3, 2, 1], [], [0]), (7, [6, 5, 4], [3], [0, 1, 2]), (8, [7, 6, 5], [3, 4], [0, 1, 2])],
)
def test_the_worst_of_few_is_not_called_one_of_the_least(measured, largest, middle, least):
    found = shown({f"sub-0{n}": n / 10 for n in range(measured)}, {f"sub-{n}": 1.0 for n in range(20, 40)})
    whys = ("one of the largest errors", "an error in the middle", "one of the least errors")
    for why, numbers in zip(whys, (largest, middle, least), strict=True):
        assert [visit for visit, said in found.items() if said == why] == [f"sub-0{n}" for n in numbers]


def test_figures_are_in_the_page_until_it_would_be_too_large(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.svg").write_text(f'<svg viewBox="0 0 1 1">{name}</svg>')
    figures = [Figure(name, "", f"{name}.svg") for name in ("a", "missing", "b", "c")]
    monkeypatch.setattr("bidsapp.reports.inline.MOST_CHARACTERS", 170)
    found = {item["title"]: item["data"] for item in inlined(figures, tmp_path)}
    address = "data:image/svg+xml;charset=utf-8,"
    assert unquote(found["a"].removeprefix(address)) == '<svg viewBox="0 0 1 1">a</svg>'
    assert [bool(data) for data in found.values()] == [True, False, True, False]


def test_a_card_obeys_no_html_and_fetches_nothing():
    evil = "<script>x</script> ![p](http://example.org/p.png) [l](javascript:x)"
    text = f"---\nlicense: mit\n---\n# A\n\n{evil}\n\n| a |\n| --- |\n| 1 |\n"
    html = to_html(text, below=2)
    assert "license" not in html
    assert "<h3>A</h3>" in html
    assert '<div class="wide"><table>' in html
    assert "&lt;script&gt;" in html
    assert "<img" not in html
    assert 'href="javascript' not in html
